"""The comparison of two trees: what counts as a difference, and what does not."""

import json
import shutil
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import torch

from benchmarks import outputs, same_results
from benchmarks.same_results import Step, compare


def echo(tmp_path, name, code):
    """A tree whose program `bratsprep` is the given code."""
    package = tmp_path / name / "bratsprep"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(code)
    return package.parent


def read_number(path):
    """The one fact of a file that holds a number."""
    return {"number": path.read_text()}


WRITE = "import sys; open(sys.argv[1], 'w').write({!r})"
STEPS = [Step("a number", "bratsprep out.txt", "out.txt", read_number)]


def test_equal_outputs_are_the_same(tmp_path, capsys):
    trees = [echo(tmp_path, name, WRITE.format("4")) for name in ("one", "two")]
    assert compare(trees, tmp_path / "work", STEPS)
    assert "| a number | 1 | same |" in capsys.readouterr().out


def test_another_output_is_named(tmp_path, capsys):
    trees = [echo(tmp_path, text, WRITE.format(text)) for text in ("4", "5")]
    assert not compare(trees, tmp_path / "work", STEPS)
    assert "number: 4 and 5" in capsys.readouterr().out


def test_a_command_that_fails_in_both_trees_is_no_success(tmp_path, capsys):
    trees = [echo(tmp_path, name, "raise SystemExit('no disk')") for name in ("one", "two")]
    assert not compare(trees, tmp_path / "work", STEPS)
    assert "exit code 1: no disk" in capsys.readouterr().out


def test_a_command_that_fails_in_one_tree_is_a_difference(tmp_path):
    trees = [echo(tmp_path, "one", WRITE.format("4")), echo(tmp_path, "two", "1 / 0")]
    assert not compare(trees, tmp_path / "work", STEPS)


def test_steps_cover_every_command_that_gives_results():
    steps = [*same_results.phantom_steps(), *same_results.run_steps()]
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    assert {step.command.split(" ")[1] for step in steps} == {
        "phantom", "build", "fit", "predict", "evaluate"
    }  # fmt: skip


def test_a_path_that_is_neither_checkout_nor_revision_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no-such-revision"):
        same_results.checkout("no-such-revision", tmp_path)


def test_facts_of_one_side_alone_are_differences():
    assert outputs.differences({"a": 1}, {"b": 1}) == [
        "a: only in the first",
        "b: only in the second",
    ]


def test_nan_equals_nan_and_nothing_else():
    nan = float("nan")
    assert outputs.differences({"a": nan}, {"a": float("nan")}) == []
    assert len(outputs.differences({"a": nan}, {"a": 0.0})) == 1


def test_digest_sees_dtype_shape_and_the_last_bit():
    values = np.ones(4, np.float32)
    alike = (values.astype(np.float64), values.reshape(2, 2), np.nextafter(values, 2))
    assert len({outputs.digest(array) for array in (values, *alike)}) == 4


def test_numbers_of_rows_go_by_what_the_rows_are():
    first = {"metric": "Dice", "part": "WT", "mean": 0.5}
    second = {"metric": "Dice", "part": "ET", "mean": 0.25}
    facts = dict(outputs.numbers({"rows": [first, second]}))
    assert facts == {"/rows/Dice, WT/mean": 0.5, "/rows/Dice, ET/mean": 0.25}
    assert facts == dict(outputs.numbers({"rows": [second, first]}))


def test_about_is_not_a_result(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"about": {"seconds": 3}, "headline": {"WT": 0.5}}))
    assert outputs.evaluation_facts(path) == {"/headline/WT": 0.5}


def test_checkpoints_differ_in_a_single_weight(tmp_path):
    weights = {"network": {"head": torch.zeros(3)}, "optimizer": [torch.ones(1)], "step": 4}
    torch.save(weights, tmp_path / "one.pt")
    weights["network"]["head"][1] = 1e-30
    torch.save({**weights, "step": 5}, tmp_path / "two.pt")
    one, two = (outputs.checkpoint_facts(tmp_path / f"{name}.pt") for name in ("one", "two"))
    assert one.keys() == {"network.head", "optimizer.0"}
    assert len(outputs.differences(one, two)) == 1


def test_label_maps_differ_in_a_single_voxel(tmp_path):
    voxels = np.zeros((3, 4, 5), np.uint8)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / name / "case.nii.gz")
        voxels[1, 2, 3] = 1
    one, two = (outputs.label_map_facts(tmp_path / name) for name in ("one", "two"))
    assert [line.split(":")[0] for line in outputs.differences(one, two)] == ["case.nii.gz voxels"]


def test_slice_files_are_compared_dataset_by_dataset(tmp_path):
    for name, z in (("one", 3), ("two", 4)):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["digest"] = "abc"
            file["slice/z"] = np.array([z], np.int16)
            file["case/id"] = ["BRATS_001"]
    one, two = (outputs.slice_file_facts(tmp_path / name) for name in ("one", "two"))
    assert [line.split(":")[0] for line in outputs.differences(one, two)] == ["slice/z"]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_files_of_an_archive_are_those_of_its_folder(tmp_path, kind):
    folder = tmp_path / "raw"
    (folder / "case").mkdir(parents=True)
    (folder / "case" / "label.nii").write_bytes(b"voxels")
    packed = Path(shutil.make_archive(str(tmp_path / "raw"), kind, tmp_path, "raw"))
    facts = {name: value for name, value in outputs.file_facts(packed).items() if "label" in name}
    assert list(facts) == ["raw/case/label.nii"]
    assert [*facts.values()] == [*outputs.file_facts(folder).values()]
