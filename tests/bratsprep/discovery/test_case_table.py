"""A table of cases replaces recognition by names, and every fault names its row and column."""

import pytest

from bratsprep.case import Channel
from bratsprep.config import USUAL_MODALITIES
from bratsprep.discovery.candidates import Needs
from bratsprep.discovery.case_table import table_batch
from bratsprep.discovery.case_table_rows import table_digest
from bratsprep.discovery.discover import scan
from bratsprep.errors import LayoutError
from bratsprep.sources.source import open_source

FILES = ("x/1.nii.gz", "x/2.nii.gz", "x/3.nii.gz", "x/4.nii.gz", "x/tumour.nii.gz")
HEADER = "case,subject,FLAIR,T1_C-,T1_C+,T2,seg\n"
ROW = "a-1,anna,x/1.nii.gz,x/2.nii.gz,x/3.nii.gz,x/4.nii.gz,x/tumour.nii.gz\n"
NEEDS = Needs(USUAL_MODALITIES)


@pytest.fixture
def raw(tmp_path):
    for name in FILES:
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\1" * 300)
    return tmp_path / "raw"


def table(raw, text, encoding="utf-8"):
    path = raw.with_name("table.csv")
    path.write_text(text, encoding=encoding)
    return path


def found(raw, text, encoding="utf-8", **settings):
    with open_source(raw) as source:
        return scan(source, case_table=table(raw, text, encoding), **settings)


def refusal(raw, text, **settings):
    with pytest.raises(LayoutError) as caught:
        found(raw, text, **settings)
    return str(caught.value)


def test_table_decides_whatever_the_files_are_called(raw):
    result = found(raw, HEADER + ROW)
    (one,) = result.cases
    assert (one.id, one.subject, one.label) == ("a-1", "anna", "x/tumour.nii.gz")
    assert one.images == tuple(Channel(f"x/{i}.nii.gz", None) for i in range(1, 5))
    assert result.layout == "table table.csv"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_commas_semicolons_and_tabs_are_read(raw, mark, encoding):
    text = f"# by hand\n\n{HEADER}{ROW},,,,,,\n# end\n".replace(",", mark)
    assert len(found(raw, text, encoding).cases) == 1


def test_subject_follows_from_the_case_where_its_cell_is_empty(raw):
    text = HEADER + ROW.replace("a-1,anna", "sub-01_ses-2,")
    assert found(raw, text).cases[0].subject == "sub-01"


def test_paths_of_windows_and_dots_are_read(raw):
    text = HEADER + ROW.replace("x/1.nii.gz", "x\\1.nii.gz").replace("x/2", "./x/2")
    assert found(raw, text).cases[0].images[0].member == "x/1.nii.gz"


def test_volumes_of_a_4d_file_are_named(raw):
    cells = ",".join(f"x/1.nii.gz[{i}/5]" for i in (3, 1, 0, 2))
    (one,) = found(raw, f"case,flair,t1,t1ce,t2\nb,{cells}\n", unlabelled=True).cases
    assert one.images == tuple(Channel("x/1.nii.gz", i, 5) for i in (3, 1, 0, 2))


def test_a_case_without_a_label_is_taken_with_unlabelled(raw):
    text = HEADER + ROW.replace("x/tumour.nii.gz", "")
    assert found(raw, text, unlabelled=True).cases[0].label is None
    message = refusal(raw, text)
    assert "row 2 (case a-1): mask is missing" in message
    assert "--unlabelled" in message


def test_files_of_no_row_are_counted(raw):
    (raw / "x/stray.nii.gz").write_bytes(b"\1" * 300)
    (ignored,) = found(raw, HEADER + ROW).mapping.ignored
    assert (ignored.count, ignored.example) == (1, "x/stray.nii.gz")
    assert "in no row" in ignored.reason


@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("x/2.nii.gz", "", ("row 3 (case b), column T1_C-", "is empty")),
        ("x/2.nii.gz", "y/2.nii.gz", ("row 3 (case b), column T1_C-", "2.nii.gz meant")),
        ("x/2.nii.gz", "z.nii.gz", ("row 3 (case b), column T1_C-", "is not in")),
        ("x/2.nii.gz", "x/1.nii.gz", ("row 3 (case b), column T1_C-", "column FLAIR")),
        ("b,", "a-1,", ("row 3, column case", "a-1 is the case of row 2")),
        ("b,", ",", ("row 3, column case", "is empty")),
        (",x/tumour.nii.gz", "", ("row 3", "has 6 cells; the header has 7")),
    ],
)
def test_faults_name_row_and_column(raw, old, new, facts):
    for name in FILES:
        (raw / name.replace("x/", "good/")).parent.mkdir(exist_ok=True)
        (raw / name.replace("x/", "good/")).write_bytes(b"\1" * 300)
    bad = ROW.replace("a-1,anna", "b,").replace(old, new, 1)
    text = HEADER + ROW.replace("x/", "good/") + bad
    message = refusal(raw, text)
    assert all(fact in message for fact in facts), message
    if "a-1" not in new:
        assert [one.id for one in found(raw, text, skip=True).cases] == ["a-1"]


def test_scheme_and_test_are_checked(raw):
    header = HEADER.replace("case,", "case,scheme,test,")
    good = ROW.replace("a-1,", "a-1,brats2017,,")
    assert found(raw, header + good).cases[0].scheme == "brats2017"
    assert "column scheme: is 'x'" in refusal(raw, header + good.replace("brats2017", "x"))
    assert "column test: is 'no'" in refusal(raw, header + good.replace(",,", ",no,", 1))


@pytest.mark.parametrize(
    ("header", "fact"),
    [
        (HEADER.replace("subject", "subjet"), "column 'subjet' is unknown; did you mean 'subject'"),
        (HEADER.replace("T2,", "FLAIR2,"), "'FLAIR2' is unknown"),
        (HEADER.replace("T2,", "flair,"), "column 'FLAIR' holds flair, as another does"),
        (HEADER.replace("T2,", ""), "column t2w is missing"),
        (HEADER.replace("case,", ""), "column case is missing"),
    ],
)
def test_columns_are_checked(raw, header, fact):
    message = refusal(raw, header + ROW)
    assert "table.csv: row 1" in message
    assert fact in message


@pytest.mark.parametrize("text", ["", "# nothing\n", HEADER, '"unclosed\n' + HEADER])
def test_a_table_without_rows_is_refused(raw, text):
    assert "table.csv" in refusal(raw, text)


def test_a_table_that_cannot_be_read_is_refused(raw):
    with open_source(raw) as source, pytest.raises(LayoutError, match="absent"):
        table_batch(source, raw / "absent.csv", NEEDS)
    with pytest.raises(LayoutError, match="absent"):
        table_digest(raw / "absent.csv")


@pytest.mark.parametrize("name", ["label_name", "exclude"])
def test_patterns_have_no_effect_beside_a_table(raw, name):
    pattern = "*" if name == "label_name" else ("*",)
    with pytest.raises(ValueError, match=name):
        found(raw, HEADER + ROW, **{name: pattern})


def test_an_unknown_keyword_is_refused(raw):
    with open_source(raw) as source, pytest.raises(TypeError, match="case_tables"):
        scan(source, case_tables="x")


def test_every_modality_has_a_column(raw):
    with open_source(raw) as source:
        (draft,) = table_batch(source, table(raw, HEADER + ROW), NEEDS).drafts
    assert {*draft.roles} == {*USUAL_MODALITIES, "label"}


def test_a_row_may_lack_a_modality_that_is_stored_as_zeros(raw):
    text = HEADER + ROW.replace("x/2.nii.gz", "")
    assert "column T1_C-: is empty" in refusal(raw, text)
    (one,) = found(raw, text, missing="zeros").cases
    assert [channel and channel.member for channel in one.images] == [
        "x/1.nii.gz", None, "x/3.nii.gz", "x/4.nii.gz"]  # fmt: skip
    bare = HEADER + "a,,,,,,x/tumour.nii.gz\n"
    assert "flair, t1w, t1gd, t2w are missing" in refusal(raw, bare, missing="zeros")


def test_columns_follow_the_modalities_asked_for(raw):
    text = "case,adc,FLAIR,T2,seg\n" + "a,x/1.nii.gz,x/2.nii.gz,x/3.nii.gz,x/tumour.nii.gz\n"
    (one,) = found(raw, text, modalities="t2w,adc").cases
    assert [channel.member for channel in one.images] == ["x/3.nii.gz", "x/1.nii.gz"]
    unasked = refusal(raw, text, modalities="t2w")
    assert "'adc' is unknown" in unasked
    assert "--modalities" in unasked
    assert "column swi is missing" in refusal(raw, text, modalities="adc,swi")
