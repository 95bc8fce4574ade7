"""Slice files joined: the file that a build of all cases would give, and what is refused."""

import re

import h5py
import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main
from bratsprep.errors import BuildError, SchemaError

WINDOW = "48x40"
SETTINGS = {"crop": WINDOW, "workers": 1}


def make(folder, name, *, cases=3, layout="brats2020", **settings):
    """A slice file of phantoms and the folder of its raw cases."""
    raw = bratsprep.phantoms(
        folder / f"raw-{name}", cases=cases, shape=(44, 50, 20), layout=layout, workers=1,
        seed=settings.pop("phantoms", 0),
    )  # fmt: skip
    out = folder / f"{name}.h5"
    bratsprep.build(raw, out, **SETTINGS | settings)
    return out


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Cases 1 to 3 and 4 to 6 of one set in two files, and all six in one."""
    folder = tmp_path_factory.mktemp("pair")
    raw = bratsprep.phantoms(
        folder / "raw", cases=6, shape=(44, 50, 20), layout="brats2020", workers=1
    )
    for name, numbers in (("a", "456"), ("b", "123")):
        for number in numbers:
            (case,) = raw.rglob(f"BraTS20_Training_00{number}")
            target = folder / name / case.name
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(case)
        bratsprep.build(folder / name, folder / f"{name}.h5", **SETTINGS)
    bratsprep.build(raw, folder / "whole.h5", **SETTINGS)
    return folder


def test_merged_files_are_the_build_of_all_cases(pair, tmp_path):
    merged = bratsprep.merge([pair / "a.h5", pair / "b.h5"], tmp_path / "all.h5", workers=1)
    assert (tmp_path / "all.h5").read_bytes() == (pair / "whole.h5").read_bytes()
    assert [*merged.files.values()] == [3, 3]
    assert bratsprep.verify(tmp_path / "all.h5").cases == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.h5", "all.h5.sources"]


def test_a_merged_file_is_up_to_date_with_all_raw_cases(pair, tmp_path):
    bratsprep.merge([pair / "a.h5", pair / "b.h5"], tmp_path / "all.h5", workers=1)
    assert bratsprep.build(pair / "raw", tmp_path / "all.h5", **SETTINGS).was_complete


def test_no_chunk_is_unpacked(pair, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a slice was read")

    monkeypatch.setattr(bratsprep.SliceFile, "read_into", refuse)
    bratsprep.merge([pair / "a.h5", pair / "b.h5"], tmp_path / "all.h5", workers=1)


def test_one_person_in_two_files_gets_one_subject(tmp_path):
    first = make(tmp_path, "first", cases=2, layout="brats2020")
    second = make(tmp_path, "second", cases=3, layout="brats2018")  # the same anatomy
    merged = bratsprep.merge([first, second], tmp_path / "all.h5", workers=1)
    assert len(merged.repeats.grouped) == 2
    assert merged.subjects == 3
    assert "certain, put into one subject" in "\n".join(merged.lines())
    assert bratsprep.verify(tmp_path / "all.h5").cases == 5


def test_subjects_in_two_files_by_their_names_are_listed(tmp_path):
    first = make(tmp_path, "first", cases=2, layout="brats2023")
    raw = bratsprep.phantoms(
        tmp_path / "raw", cases=2, shape=(44, 50, 20), layout="brats2023", workers=1, seed=5
    )
    for path in sorted(raw.rglob("*-000*"), reverse=True):  # files before their folders
        path.rename(path.with_name(re.sub(r"-000(?![0-9])", "-001", path.name)))
    bratsprep.build(raw, tmp_path / "second.h5", **SETTINGS)
    merged = bratsprep.merge([first, tmp_path / "second.h5"], tmp_path / "all.h5", workers=1)
    assert len(merged.shared) == 2
    assert "2 are in more than one file by their names" in "\n".join(merged.lines())


def test_a_case_in_two_files_is_refused(pair, tmp_path):
    with pytest.raises(BuildError, match=r"3 of its cases are in .* too, such as BraTS20"):
        bratsprep.merge([pair / "a.h5", pair / "whole.h5"], tmp_path / "all.h5")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slices": "brain"}, "settings differ: slices tumour, now brain"),
        ({"crop": "64x64"}, "settings differ: crop 48x40, now 64x64"),
        ({"modalities": "flair,t1w", "layout": "brats2020"}, "settings differ: modalities"),
    ],
)
def test_other_settings_are_refused(pair, tmp_path, settings, message):
    other = make(tmp_path, "other", **settings)
    with pytest.raises(BuildError, match=message):
        bratsprep.merge([pair / "a.h5", other], tmp_path / "all.h5")


def test_other_classes_are_refused(pair, tmp_path):
    raw = bratsprep.phantoms(
        tmp_path / "raw", cases=2, shape=(44, 50, 20), layout="brats2024", workers=1
    )
    bratsprep.build(raw, tmp_path / "other.h5", **SETTINGS)
    with bratsprep.open(pair / "a.h5") as ours, bratsprep.open(tmp_path / "other.h5") as other:
        if ours.classes == other.classes:
            pytest.skip("this layout has the classes of the other")
    with pytest.raises(BuildError, match="classes are"):
        bratsprep.merge([pair / "a.h5", tmp_path / "other.h5"], tmp_path / "all.h5")


def test_planes_of_another_size_are_refused(tmp_path):
    files = []
    for name, shape in (("a", (44, 50, 20)), ("b", (48, 50, 20))):
        layout = {"a": "brats2020", "b": "brats2018"}[name]
        raw = bratsprep.phantoms(
            tmp_path / f"raw-{name}", cases=1, shape=shape, layout=layout, workers=1
        )
        files.append(tmp_path / f"{name}.h5")
        bratsprep.build(raw, files[-1], crop="none", workers=1)
    with pytest.raises(BuildError, match="planes are 50 x 48, not 50 x 44"):
        bratsprep.merge(files, tmp_path / "all.h5")


def test_an_existing_file_is_replaced_on_request_alone(pair, tmp_path):
    out = tmp_path / "all.h5"
    out.write_bytes(b"mine")
    with pytest.raises(BuildError, match=r"all\.h5: exists already"):
        bratsprep.merge([pair / "a.h5", pair / "b.h5"], out)
    bratsprep.merge([pair / "a.h5", pair / "b.h5"], out, force=True, workers=1)
    assert out.read_bytes() == (pair / "whole.h5").read_bytes()


def test_a_file_is_not_merged_into_itself(pair):
    with pytest.raises(BuildError, match=r"a\.h5: exists already"):
        bratsprep.merge([pair / "a.h5", pair / "b.h5"], pair / "a.h5", force=True)


def test_one_file_is_nothing_to_merge(pair, tmp_path):
    with pytest.raises(ValueError, match="at least two slice files, got 1"):
        bratsprep.merge([pair / "a.h5"], tmp_path / "all.h5")


def test_what_is_no_slice_file_is_an_error(pair, tmp_path):
    (tmp_path / "b.h5").write_bytes(b"text")
    with pytest.raises((BuildError, SchemaError), match=r"b\.h5"):
        bratsprep.merge([pair / "a.h5", tmp_path / "b.h5"], tmp_path / "all.h5")


def test_versions_of_all_files_are_kept(pair, tmp_path):
    other = tmp_path / "b.h5"
    other.write_bytes((pair / "b.h5").read_bytes())
    with h5py.File(other, "r+") as file:
        software = bytes(file.attrs["software"]).decode()
        changed = software.replace('"numpy": "', '"numpy": "9')
        del file.attrs["software"]
        file.attrs.create("software", changed.encode(), dtype=h5py.string_dtype("utf-8", 500))
    bratsprep.merge([pair / "a.h5", other], tmp_path / "all.h5", workers=1)
    with h5py.File(tmp_path / "all.h5") as file:
        assert " and 9" in bytes(file.attrs["software"]).decode()


def test_the_command_says_what_was_joined(pair, tmp_path):
    files = [str(pair / "a.h5"), str(pair / "b.h5")]
    done = CliRunner().invoke(main, ["merge", *files, "-o", str(tmp_path / "all.h5")])
    assert done.exit_code == 0, done.output
    assert "6 cases of 6 subjects (3 of " in done.output
    again = CliRunner().invoke(main, ["merge", *files, "-o", str(tmp_path / "all.h5")])
    assert again.exit_code == 1
