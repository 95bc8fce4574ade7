"""A table that was written from a folder builds the file that the folder builds."""

import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main
from bratsprep.errors import LayoutError

SHAPE = (24, 24, 16)


def digest(raw, out, **settings):
    return bratsprep.build(raw, out, crop="none", repeats="off", workers=1, **settings).digest


@pytest.mark.parametrize("layout", ["msd", "brats2020", "brats2023", "nnunet", "plain"])
@pytest.mark.parametrize("unlabelled", [False, True])
def test_the_round_trip_builds_the_same_file(tmp_path, layout, unlabelled):
    raw, table, out = tmp_path / "raw", tmp_path / "table.csv", tmp_path / "listed.h5"
    extra = int(unlabelled or layout in ("msd", "nnunet"))
    bratsprep.phantoms(raw, layout=layout, cases=2, unlabelled=extra, shape=SHAPE)
    draft = bratsprep.write_case_table(raw, table)
    assert (draft.cases, draft.incomplete, draft.unlabelled, draft.unknown) == (
        2 + extra,
        0,
        extra,
        0,
    )
    recognised = digest(raw, tmp_path / "recognised.h5", unlabelled=unlabelled)
    assert digest(raw, out, unlabelled=unlabelled, case_table=table) == recognised
    bratsprep.verify(out, raw, case_table=table, workers=1)
    again = bratsprep.build(raw, out, crop="none", repeats="off", workers=1, unlabelled=unlabelled)
    assert again.digest == recognised
    assert not again.changes


def test_the_draft_says_what_it_could_not_tell(tmp_path):
    raw, table = tmp_path / "raw", tmp_path / "table.csv"
    bratsprep.phantoms(raw, layout="plain", cases=2, shape=SHAPE)
    one, two = sorted(raw.iterdir())
    next(one.glob("*_T2W*")).rename(one / "scan.nii.gz")
    next(two.glob("*_mask*")).rename(two / "drawn.nii.gz")
    (two / f"{two.name}_t1w.nii.gz").write_bytes(next(two.glob("*_t1.*")).read_bytes())
    result = CliRunner().invoke(main, ["inspect", str(raw), "--write-cases", str(table)])
    assert "2 cases, 2 of them incomplete, 1 without a label; 2 files" in result.output
    refused = CliRunner().invoke(main, ["inspect", str(raw), "--write-cases", str(table), "--json"])
    assert refused.exit_code == 2
    text = table.read_text()
    assert "# patient02: t1w is one of" in text
    assert "# patient01/scan.nii.gz: has no known modality in its name" in text
    with pytest.raises(LayoutError, match=r"row 2 \(case patient01\), column t2w: is empty"):
        bratsprep.build(raw, tmp_path / "out.h5", case_table=table)
    text = text.replace(
        ",patient01/patient01_mask", "patient01/scan.nii.gz,patient01/patient01_mask"
    )
    assert text.count("scan.nii.gz,") == 1
    text = text.replace("patient02/patient02_FLAIR.nii.gz,,", "patient02/patient02_FLAIR.nii.gz,"
                        "patient02/patient02_t1w.nii.gz,").replace("T2W.nii.gz,\n", "T2W.nii.gz,"
                        "patient02/drawn.nii.gz\n")  # fmt: skip
    table.write_text(text)
    summary = bratsprep.build(raw, tmp_path / "out.h5", case_table=table, crop="none", workers=1)
    assert summary.cases == 2


def test_commands_take_the_table(tmp_path):
    raw, table = tmp_path / "raw", tmp_path / "table.csv"
    bratsprep.phantoms(raw, layout="plain", cases=2, shape=SHAPE)
    bratsprep.write_case_table(raw, table)
    odd = tmp_path / "odd"
    for number, path in enumerate(sorted(raw.rglob("*.gz"))):
        (odd / f"{number}.nii.gz").parent.mkdir(exist_ok=True)
        path.rename(odd / f"{number}.nii.gz")
        name = path.relative_to(raw).as_posix()
        table.write_text(table.read_text().replace(name, f"{number}.nii.gz"))
    for command in (["inspect"], ["twins"]):
        arguments = [*command, str(odd), "--cases", str(table), "--labels", "brats2017"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert "2" in result.output


def test_a_table_has_no_effect_on_a_slice_file(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "a.h5"
    bratsprep.phantoms(raw, layout="plain", cases=2, shape=SHAPE)
    digest(raw, out)
    for verb in (bratsprep.inspect, bratsprep.twins):
        with pytest.raises(ValueError, match=r"case_table t\.csv has no effect"):
            verb(out, case_table="t.csv")
    with pytest.raises(ValueError, match=r"exclude .* has no effect"):
        bratsprep.twins(out, exclude=("*",))
