import numpy as np
import pytest
import torch

from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.intake import Intake, planes_name
from bratstrain.data.neighbours import Samples
from bratstrain.networks.overlap import soft_dice_loss
from bratstrain.training.predictions import Segment
from bratstrain.training.validate import scores, validate
from tests.helpers import fitfiles
from tests.helpers.class_sets import GLIOMA

CPU = torch.device("cpu")
NONE = np.zeros(1, bool)
"""One case, without a twin."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"))


def confusion(truth, predicted):
    matrix = np.zeros((4, 4), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def test_scores_are_those_worked_out_by_hand():
    # One case: ET half found; the core's rest found as oedema, which is in WT but not in TC.
    matrix = confusion([3, 3, 1, 2, 0], [3, 1, 2, 2, 0])[None]
    found = scores(matrix, NONE, "stored planes", GLIOMA, 0.25).volume_dice
    assert found == pytest.approx({"NCR": 0, "ED": 2 / 3, "ET": 2 / 3, "TC": 4 / 5, "WT": 1})


def test_scores_are_the_mean_over_cases_not_over_voxels():
    good, bad = confusion([3] * 1000, [3] * 1000), confusion([3], [0])
    assert (
        scores(np.stack([good, bad]), np.zeros(2, bool), "", GLIOMA, 0.25).volume_dice["ET"] == 0.5
    )


def test_empty_masks_follow_the_brats_convention():
    cases = np.stack([confusion([0], [0]), confusion([0], [3]), confusion([3], [0])])
    found = scores(cases, np.zeros(3, bool), "stored planes", GLIOMA, 0.25)
    assert found.volume_dice["ET"] == pytest.approx(1 / 3)
    assert found.cases["ET"] == {"present": 1, "absent": 2, "absent_predicted": 1}


def test_score_of_a_run_is_the_mean_of_the_regions():
    found = scores(
        confusion([3, 3, 1, 2, 0], [3, 1, 2, 2, 0])[None], NONE, "stored planes", GLIOMA, 0.25
    )
    assert found.mean_regions == pytest.approx((2 / 3 + 4 / 5 + 1) / 3)
    assert found.record()["mean_regions"] == found.mean_regions
    assert found.line(7) == (
        "step 7: volume Dice (stored planes) of 1 cases: ET 0.667, TC 0.800, WT 1.000, mean 0.822; "
        "soft-Dice loss 0.250"
    )


def test_cases_without_a_twin_are_scored_on_their_own():
    good, bad = confusion([3, 2, 1], [3, 2, 1]), confusion([3, 2, 1], [0, 0, 0])
    found = scores(np.stack([good, bad]), np.array([True, False]), "stored planes", GLIOMA, 0.25)
    assert (found.mean_regions, found.n_without_twins) == (0.5, 1)
    assert found.record()["mean_regions_without_twins"] == 0
    assert set(found.record()["volume_dice_without_twins"].values()) == {0}
    assert found.line(1).endswith("; mean of the 1 without a twin in training 0.000")


@pytest.mark.parametrize("has_twin", [True, False])
def test_scores_come_once_where_no_case_or_every_case_has_a_twin(has_twin):
    found = scores(confusion([3], [3])[None], np.array([has_twin]), "stored planes", GLIOMA, 0.25)
    assert found.without_twins is None
    assert not any("twin" in name for name in found.record())


def test_twins_are_found_by_their_ids(data):
    with SliceFile(data) as file:

        def nothing(image):
            return torch.zeros((len(image), 4, *image.shape[2:]))

        twins = file.cases["id"][:2].tolist()
        found = validate(
            Segment(nothing), file, Samples(np.arange(len(file))), CPU, batch_size=99, twins=twins
        )
    assert (found.n_cases, found.n_without_twins) == (6, 4)


@pytest.mark.parametrize("batch_size", [1, 5, 999])
def test_truth_itself_scores_1(data, batch_size):
    with SliceFile(data) as file:
        rows = np.flatnonzero(file.slices["case"] % 2 == 1)
        labels = iter(np.split(file.read(rows)[1], range(batch_size, len(rows), batch_size)))

        def oracle(image):
            label = torch.from_numpy(next(labels)).long()
            return torch.nn.functional.one_hot(label, 4).movedim(-1, 1).float()

        found = validate(Segment(oracle), file, Samples(rows), CPU, batch_size=batch_size)
    assert found.n_cases == 3
    assert set(found.volume_dice.values()) == {1.0}


def test_soft_dice_loss_is_that_of_the_probabilities_worked_out_by_hand():
    # Background does not count. Class 1: 2 x 3 / (4 + 4); class 2 is neither there nor predicted;
    # class 3 is missed.
    sums = np.array([[9.0, 3, 0, 0], [9, 4, 0, 0], [9, 4, 0, 8]])
    assert soft_dice_loss(sums) == pytest.approx(1 - (3 / 4 + 1 + 0) / 3, abs=1e-5)


@pytest.mark.parametrize("batch_size", [3, 999])
def test_soft_dice_loss_of_a_validation_does_not_depend_on_the_batch(data, batch_size):
    """Against sums over whole volumes in NumPy."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn((4, 4), generator=generator)

    def network(image):
        return torch.einsum("cm,bmhw->bchw", mix, image)

    with SliceFile(data) as file:
        rows = np.arange(len(file))
        found = validate(Segment(network), file, Samples(rows), CPU, batch_size=batch_size)
        image, label = file.read(rows)
    chances = network(torch.from_numpy(image).float()).double().softmax(dim=1).numpy()
    dice = []
    for k in (1, 2, 3):
        truth = label == k
        dice.append(2 * chances[:, k][truth].sum() / (chances[:, k].sum() + truth.sum()))
    assert found.soft_dice_loss == pytest.approx(1 - np.mean(dice), abs=1e-5)
    assert found.record()["soft_dice_loss"] == found.soft_dice_loss


def test_validation_stops_when_it_is_told_to(data):
    with SliceFile(data) as file:
        rows = np.arange(len(file))
        assert (
            validate(Segment(None), file, Samples(rows), CPU, batch_size=4, stopped=lambda: True)
            is None
        )


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "tumour slices only"),
        ({"margin": 1}, "stored planes"),
        ({"negatives": 0.5}, "stored planes"),
        ({"slices": "brain"}, "stored planes"),
    ],
)
def test_score_is_named_after_the_planes_of_the_file(tmp_path, settings, name):
    with SliceFile(fitfiles.phantom_file(tmp_path, **settings)) as file:
        assert planes_name(file) == name


def test_raw_images_become_those_of_a_normalised_file(data, tmp_path):
    rows = np.array([3, 0, 20])
    with SliceFile(data) as file:
        wanted = torch.from_numpy(file.read(rows)[0].astype(np.float32))
        assert torch.equal(Intake(file, CPU)(wanted.half(), rows), wanted)
    with SliceFile(fitfiles.phantom_file(tmp_path, normalise="none")) as file:
        raw = torch.from_numpy(file.read(rows)[0])
        torch.testing.assert_close(Intake(file, CPU)(raw, rows), wanted, rtol=1e-3, atol=1e-4)
