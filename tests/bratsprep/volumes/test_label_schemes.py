"""A scheme is said, or told by names, or told by the values of all silent cases together."""

import numpy as np
import pytest

from bratsprep.errors import LabelError, NiftiError
from bratsprep.labels import SCHEMES, Scheme, meanings
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.label import raw_values, read_label
from bratsprep.volumes.label_schemes import resolve
from tests.helpers import niftis


def labelled(root, name, values, scheme=None):
    """A case of which only the label exists."""
    files = niftis.case_files(name, scheme=scheme)
    label = np.zeros((3, 3, 2), np.uint8)
    label.flat[: len(values)] = values
    niftis.write(root / files.label, label)
    return files


def resolved(root, cases, labels="auto"):
    with open_source(root) as source:
        return {name: scheme.name for name, scheme in resolve(source, cases, labels).items()}


def test_a_scheme_that_is_said_is_every_cases(tmp_path):
    cases = [labelled(tmp_path, "a", [7], "msd"), labelled(tmp_path, "b", [7])]
    assert resolved(tmp_path, cases, "brats2024") == {"a": "brats2024", "b": "brats2024"}


def test_names_are_believed_without_reading_a_label(tmp_path):
    files = labelled(tmp_path, "a", [1], "msd")
    (tmp_path / files.label).write_bytes(b"broken")
    assert resolved(tmp_path, [files]) == {"a": "msd"}


def test_silent_cases_are_told_by_their_values_together(tmp_path):
    cases = [
        labelled(tmp_path, "a", [1, 2]),
        labelled(tmp_path, "b", [4]),
        labelled(tmp_path, "c", [3], "msd"),
    ]
    assert resolved(tmp_path, cases) == {"a": "brats2017", "b": "brats2017", "c": "msd"}


def test_unlabelled_cases_have_no_scheme(tmp_path):
    cases = [niftis.case_files("a", label=False), labelled(tmp_path, "b", [], "msd")]
    assert resolved(tmp_path, cases) == {"b": "msd"}
    assert resolved(tmp_path, cases[:1], "msd") == {}


def test_ambiguous_values_are_refused(tmp_path):
    cases = [labelled(tmp_path, "a", [1, 2]), labelled(tmp_path, "b", [3])]
    with pytest.raises(LabelError) as caught:
        resolved(tmp_path, cases)
    message = f"{tmp_path}: label values [0, 1, 2, 3] fit msd, brats2023, brats2024, brats2015, "
    assert str(caught.value).startswith(message)


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^label scheme 'x' is unknown;"):
        resolved(tmp_path, [labelled(tmp_path, "a", [1])], "x")


@pytest.mark.parametrize(
    ("values", "found"), [([1, 4, 4, 9], {0, 1, 4, 9}), ([255], {0, 255}), ([3] * 18, {0, 3})]
)
def test_raw_values_are_all_that_occur_and_zero(tmp_path, values, found):
    files = labelled(tmp_path, "a", values)
    with open_source(tmp_path) as source:
        assert raw_values(source, files.label, Buffers()) == found


def test_raw_values_of_a_broken_label_are_refused(tmp_path):
    files = labelled(tmp_path, "a", [1])
    niftis.write(tmp_path / files.label, np.full((2, 2, 2), 2.5, "f4"))
    with (
        open_source(tmp_path) as source,
        pytest.raises(NiftiError, match=r"a_seg\.nii\.gz: label holds \[2\.5\]"),
    ):
        raw_values(source, files.label, Buffers())


def test_scheme_is_added_by_one_record(tmp_path, monkeypatch):
    names = ((3, "enhancing"), (7, "core"), (9, "oedema"))
    toy = Scheme("toy", "a toy release", ((3, 3), (7, 1), (9, 2)), names)
    monkeypatch.setitem(SCHEMES, "toy", toy)
    files = labelled(tmp_path, "a", [3, 7, 9, 9])
    with open_source(tmp_path) as source:
        scheme = resolve(source, [files], "toy")["a"]
        label = read_label(source, files.label, scheme, Buffers())
    assert label.plane_voxels.sum(axis=0).tolist() == [14, 1, 2, 1]
    assert "toy: 7 core" in meanings([7])
