"""Pictures of predictions without truth: one for each case, of its fullest plane."""

import imagecodecs
import numpy as np
import pytest
from click.testing import CliRunner

from bratsprep.errors import BratsError
from bratstrain.commands.cli import main
from bratstrain.inference.case_output import PredictedPlane
from bratstrain.inference.predictor import predict
from bratstrain.pages.case_figure import draw_case
from tests.helpers import niftis, runs
from tests.helpers.class_sets import SCHEME

CASE = "BraTS2021_00001"
COLOURS = [tuple(bytes.fromhex(colour[1:])) for colour in SCHEME.classes.colours[1:]]


def plane(label, modalities=("flair", "t1w", "t1gd", "t2w")):
    """A plane of drawn intensities."""
    images = np.random.default_rng(0).normal(size=(len(modalities), *label.shape))
    return PredictedPlane(
        CASE, 3, images.astype(np.float32), label, modalities, 0, SCHEME.classes, "NCR 1.0 ml"
    )  # fmt: skip


def drawn(path, shown):
    draw_case(path, shown)
    return imagecodecs.png_decode(path.read_bytes())[..., :3]


def write_unlabelled(folder):
    """A raw case without a label."""
    niftis.write_case(folder)
    (folder / CASE / f"{CASE}_seg.nii.gz").unlink()


def has_colour(picture, colour):
    """Whether some pixel is near a class's colour."""
    return bool((np.abs(picture.astype(int) - colour).max(axis=-1) <= 3).any())


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_any_number_of_modalities_is_drawn(tmp_path, n):
    label = np.ones((30, 40), np.uint8)
    picture = drawn(tmp_path / "a.png", plane(label, tuple(f"m{i}" for i in range(n))))
    assert picture.shape[0] > 100
    assert picture.any()


def test_legend_has_the_colours_of_the_classes(tmp_path):
    picture = drawn(tmp_path / "a.png", plane(np.zeros((30, 30), np.uint8)))
    assert all(has_colour(picture, colour) for colour in COLOURS)


def test_prediction_changes_the_picture(tmp_path):
    label = np.zeros((30, 30), np.uint8)
    empty = drawn(tmp_path / "a.png", plane(label))
    label[5:15, 5:15] = 1
    assert (drawn(tmp_path / "b.png", plane(label)) != empty).any()


def test_each_unlabelled_case_gets_a_figure_of_its_fullest_plane(tmp_path):
    runs.write(tmp_path / "run")
    write_unlabelled(tmp_path / "raw")
    shown = []
    done = predict(
        tmp_path / "run", tmp_path / "raw", tmp_path / "out",
        draw=lambda path, plane: shown.append((path, plane)),
    )  # fmt: skip
    ((path, found),) = shown
    assert path == tmp_path / "out" / f"{CASE}.png"
    label = runs.axial(done.cases[0].path)
    area = np.count_nonzero(label, axis=(1, 2))
    assert area[found.z] == area.max()
    assert np.count_nonzero(found.label) == area.max()
    assert len(found.images) == len(found.modalities) == 4


def test_command_draws_and_does_not_replace(tmp_path):
    runs.write(tmp_path / "run")
    write_unlabelled(tmp_path / "raw")
    call = ["predict", str(tmp_path / "run"), str(tmp_path / "raw"), "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(main, [*call, "--figures"]).exit_code == 0
    figure = tmp_path / "out" / f"{CASE}.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "out" / f"{CASE}.nii.gz").unlink()
    again = CliRunner().invoke(main, [*call, "--figures"])
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(BratsError):
        draw_case(tmp_path / "no" / "a.png", plane(np.zeros((9, 9), np.uint8)))
