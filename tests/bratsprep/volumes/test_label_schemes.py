"""A scheme is chosen, or follows from names, or from the values of all other cases together."""

import numpy as np
import pytest

from bratsprep.errors import LabelError, NiftiError
from bratsprep.labels import scheme
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.label import raw_values, read_label
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve, scheme_name
from tests.helpers import niftis
from tests.helpers.class_sets import GLIOMA, ONE, SIX, SIX_TOML, written


def labelled(root, name, values, scheme=None):
    """A case of which only the label exists."""
    files = niftis.case_files(name, scheme=scheme)
    label = np.zeros((3, 3, 2), np.uint8)
    label.flat[: len(values)] = values
    niftis.write(root / files.label, label)
    return files


def resolved(root, cases, labels="auto"):
    with open_source(root) as source:
        found = resolve(source, cases, chosen_scheme(labels)[1])
        return {name: scheme.name for name, scheme in found.items()}


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
    names = "brats-men, brats-met, brats-ped, brats2015, brats2023, brats2024, msd"
    assert str(caught.value).startswith(f"{tmp_path}: label values [0, 1, 2, 3] fit {names}; ")


def test_a_label_of_no_scheme_does_not_hide_what_the_others_say(tmp_path):
    cases = [labelled(tmp_path, "a", [1, 2, 4]), labelled(tmp_path, "b", [1, 9])]
    assert resolved(tmp_path, cases) == {"a": "brats2017", "b": "brats2017"}


def test_labels_that_are_all_of_no_scheme_are_refused_together(tmp_path):
    cases = [labelled(tmp_path, "a", [9]), labelled(tmp_path, "b", [1, 17])]
    with pytest.raises(LabelError, match=r"label values \[0, 1, 9, 17\] are outside every scheme"):
        resolved(tmp_path, cases)


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


def test_a_scheme_of_the_users_own_is_read_from_its_file(tmp_path):
    files = labelled(tmp_path, "a", [9, 6, 6, 1])
    chosen = chosen_scheme(written(tmp_path))[1]
    with open_source(tmp_path) as source:
        found = resolve(source, [files], chosen)["a"]
        label = read_label(source, files.label, found, Buffers())
    assert label.plane_voxels.sum(axis=0).tolist() == [14, 1, 0, 0, 0, 2, 1]


def test_the_name_of_a_file_in_the_settings_depends_on_its_content_alone(tmp_path):
    name, own = chosen_scheme(written(tmp_path))
    assert (name[:5], own) == ("toml:", SIX)
    (tmp_path / "other").mkdir()
    assert chosen_scheme(written(tmp_path / "other"))[0] == name
    assert chosen_scheme(written(tmp_path, SIX_TOML.replace("scar", "dent")))[0] != name


def test_auto_is_no_scheme():
    assert chosen_scheme("auto") == ("auto", None)
    assert scheme_name(None) == "auto"
    assert scheme_name(SIX) == "six"


def test_a_file_may_not_take_the_name_of_a_scheme_that_ships(tmp_path):
    path = written(tmp_path, f'name = "msd"\n{SIX_TOML}')
    with pytest.raises(LabelError, match="scheme msd ships with the program"):
        chosen_scheme(path)


def test_classes_are_those_that_all_schemes_share():
    assert common_classes([scheme("brats2017"), scheme("msd")]) == GLIOMA
    assert common_classes([SIX, SIX]) == SIX.classes


def test_classes_without_any_label_are_those_of_gliomas():
    assert common_classes([]) == GLIOMA


def test_schemes_of_other_classes_are_refused_with_both_names():
    with pytest.raises(LabelError, match="schemes six and one have other classes"):
        common_classes([SIX, ONE])
