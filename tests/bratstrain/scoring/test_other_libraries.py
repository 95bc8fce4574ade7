"""Scores against MONAI, panoptica, torchmetrics and BraTS_evaluation, where they are installed.

They are no dependency of the tests: `pip install monai panoptica torchmetrics BraTS_evaluation` to
run these.
"""

import csv
import json
import math

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from bratstrain.scoring.borders import border_dice
from bratstrain.scoring.calibration import N_BINS, calibrations
from bratstrain.scoring.lesion_rules import RULES
from bratstrain.scoring.lesions import lesion_scores
from bratstrain.scoring.metrics import counts_from_confusion, plane_confusion
from bratstrain.scoring.surface import surface_distances
from bratstrain.scoring.surface_scores import surface_scores

SPACINGS = [(1.0, 1.0, 1.0), (0.9375, 0.9375, 3.0), (0.5, 2.0, 0.7)]
"""mm, along x, y, z."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the libraries, at their import too
]


def blobs(seed):
    """Two smooth masks that overlap in part, (20, 22, 24)."""
    noise = np.random.default_rng(seed).normal(size=(3, 20, 22, 24))
    common, *own = ndimage.gaussian_filter(noise, (0, 2, 2, 2))
    return [common + side > 0.04 for side in own]


def counted(truth, predicted):
    planes = plane_confusion(truth.astype(np.uint8), predicted.astype(np.uint8), 2)
    return counts_from_confusion(planes.sum(axis=0), (1,))


@pytest.mark.parametrize("seed", range(3))
def test_overlaps_equal_monai(seed):
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    torch = pytest.importorskip("torch")
    truth, predicted = blobs(seed)
    sides = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, truth)]
    counts = counted(truth, predicted)
    assert counts.iou == pytest.approx(metrics.compute_iou(*sides).item(), abs=1e-6)
    matrix = metrics.get_confusion_matrix(*sides)
    for name in ("precision", "sensitivity", "specificity"):
        theirs = metrics.compute_confusion_matrix_metric(name, matrix).item()
        assert getattr(counts, name) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("limit", [0.5, 1.0, 2.0])
def test_surface_dice_equals_monai(spacing, limit):
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    torch = pytest.importorskip("torch")
    truth, predicted = blobs(7)
    theirs = metrics.compute_surface_dice(
        *[torch.from_numpy(mask)[None, None].float() for mask in (predicted, truth)],
        [limit], include_background=True, spacing=list(spacing[::-1]), use_subvoxels=True,
    )  # fmt: skip
    got = surface_scores(surface_distances(truth, predicted, spacing), (limit,))
    assert got.dice[limit] == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("place", "limit"), [(0, 0.5), (1, 1.0)])
def test_border_dice_equals_panoptica(spacing, place, limit):
    theirs = pytest.importorskip(
        "panoptica.metrics.normalized_surface_dice", reason="panoptica is not installed"
    )
    truth, predicted = blobs(8)
    expected = theirs._compute_normalized_surface_dice(
        truth, predicted, voxelspacing=spacing[::-1], threshold=limit
    )
    assert border_dice(truth, predicted, spacing)[place] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_volume_difference_equals_panoptica(seed):
    theirs = pytest.importorskip(
        "panoptica.metrics.relative_volume_difference", reason="panoptica is not installed"
    )
    truth, predicted = blobs(seed)
    expected = theirs._compute_relative_volume_difference(truth, predicted)
    assert counted(truth, predicted).volume_difference == pytest.approx(expected, abs=1e-6)


def cubes(*corners):
    """Cubes of 4 voxels a side, each at least 4 voxels from the next."""
    mask = np.zeros((40, 40, 40), bool)
    for z, y, x in corners:
        mask[z : z + 4, y : y + 4, x : x + 4] = True
    return mask


@pytest.mark.parametrize(
    "predicted",
    [
        cubes((3, 2, 2), (12, 13, 12), (30, 30, 30)),
        cubes((2, 2, 2)),
        cubes((30, 30, 30)),
        cubes((2, 3, 2), (12, 12, 12), (22, 22, 21)),
    ],
    ids=["one missed, one false", "two missed", "all missed, one false", "all found"],
)
def test_lesion_f1_and_dice_equal_panoptica(predicted):
    """Of lesions far from each other, where dilation joins nothing."""
    panoptica = pytest.importorskip("panoptica", reason="panoptica is not installed")
    truth = cubes((2, 2, 2), (12, 12, 12), (22, 22, 22))
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.SEMANTIC,
        instance_approximator=panoptica.ConnectedComponentsInstanceApproximator(),
        instance_matcher=panoptica.MaxBipartiteMatching(
            matching_metric=panoptica.Metric.DSC, matching_threshold=1e-6
        ),
        instance_metrics=[panoptica.Metric.DSC],
    )
    sides = (mask.astype(np.uint8) for mask in (predicted, truth))
    theirs = next(iter(evaluator.evaluate(*sides).values())).to_dict()
    got = lesion_scores(truth, predicted, (1.0, 1.0, 1.0), RULES["brats2024-met"])
    assert (got.n_found, got.n_false, got.n_missed) == tuple(theirs[k] for k in ("tp", "fp", "fn"))
    assert got.f1 == pytest.approx(theirs["rq"], abs=1e-6)
    found = [dice for dice in got.overlap if dice > 0]
    if found:
        assert np.mean(found) == pytest.approx(theirs["sq_dsc"], abs=1e-6)


PRINTED = {
    "all_instance_tp": lambda lesions: lesions.n_found,
    "all_instance_fp": lambda lesions: lesions.n_false,
    "all_instance_fn": lambda lesions: lesions.n_missed,
    "all_instance_f1": lambda lesions: lesions.f1,
    "lesionwise_dsc_mean": lambda lesions: lesions.lesionwise_dice,
    "lesionwise_hd95_mean": lambda lesions: lesions.lesionwise_hd95(373),
    "lesionwise_nsd_mean": lambda lesions: lesions.lesionwise_border_dice(1.0),
    "small_instance_f1": lambda lesions: lesions.small_f1,
    "large_instance_f1": lambda lesions: lesions.large_f1,
    "global_dsc": lambda lesions: lesions.kept.volume_dice,
    "global_nsd": lambda lesions: lesions.kept.border_dice[0],
    "global_hd95": lambda lesions: min(lesions.kept.hd95_mm, 373),
}
"""Columns of BraTS_evaluation 0.0.10, and what they are here; 0.0.8 has the first of them."""
NO_MASK = np.zeros((40, 40, 40), bool)
SMALL = cubes((30, 3, 30))[:, :, :] & (np.indices((40, 40, 40))[2] < 32)  # 4 x 4 x 2 voxels
TINY = SMALL & (np.indices((40, 40, 40))[1] < 5)  # 16 voxels
PAIRS = {
    "all found": (cubes((2, 2, 2), (12, 12, 12)), cubes((2, 3, 2), (12, 12, 13))),
    "two for one": (cubes((2, 2, 2)) | cubes((2, 2, 6)), cubes((2, 2, 2), (2, 3, 7))),
    "one for two": (cubes((2, 2, 2), (2, 2, 8)), cubes((2, 2, 2)) | cubes((2, 2, 5), (2, 2, 7))),
    "one missed, one false": (cubes((2, 2, 2), (12, 12, 12)), cubes((2, 2, 3), (30, 30, 30))),
    "small ones": (cubes((2, 2, 2)) | TINY, cubes((2, 2, 3)) | SMALL),
    "small missed": (TINY | cubes((2, 2, 2)), cubes((2, 2, 2), (20, 20, 20))),
    "nothing small": (SMALL, SMALL),
    "only small": (TINY, TINY),
    "nothing met": (cubes((2, 2, 2)), cubes((20, 20, 20))),
    "no prediction": (cubes((2, 2, 2)), NO_MASK),
    "no truth": (NO_MASK, cubes((2, 2, 2))),
    "nothing": (NO_MASK, NO_MASK),
}
TASKS = {"mets": ("brats2026-met", "et"), "GoAT": ("brats2026", "et")}


def official_scores(folder, config, truth, predicted):
    """The row that BraTS_evaluation prints for a case, by column without the region."""
    official = pytest.importorskip("brats_evaluation", reason="BraTS_evaluation is not installed")
    panoptica = pytest.importorskip("panoptica")
    paths = [str(folder / name) for name in ("p.nii.gz", "t.nii.gz")]
    for path, mask in zip(paths, (predicted, truth), strict=True):
        label = np.ascontiguousarray(3 * mask.astype(np.uint8).transpose())
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), path)
    evaluator = panoptica.Panoptica_Evaluator.load_from_config(str(official.config_path(config)))
    case = official.evaluate_single_exam(*paths, "00001-000", evaluator)
    printed, table = folder / "printed.json", folder / "table.csv"
    printed.write_text(json.dumps({"metrics": [case], "missings": []}, default=float))
    if config == "mets":
        official.parse_mets_results(str(printed), 27.0, 0.2, str(table))
    else:
        official.parse_seg_results(str(printed), str(table))
    row = next(csv.DictReader(table.open()))
    end = f"_{TASKS[config][1]}"
    return {
        name.removesuffix(end): float(value or "nan")
        for name, value in row.items()
        if name.endswith(end)
    }


@pytest.mark.parametrize("config", TASKS)
@pytest.mark.parametrize("name", [*PAIRS, 0, 1, 2, 3])
def test_pairs_score_as_the_official_package_prints_them(tmp_path, config, name):
    truth, predicted = PAIRS[name] if name in PAIRS else blobs(name)
    printed = official_scores(tmp_path, config, truth, predicted)
    lesions = lesion_scores(truth, predicted, (1.0, 1.0, 1.0), RULES[TASKS[config][0]])
    is_empty = not (truth.any() or predicted.any())
    for column in PRINTED.keys() & printed.keys():
        got = math.nan if is_empty and "global" in column else PRINTED[column](lesions)
        wanted = min(printed[column], 373)  # inf, where nothing is found
        assert got == pytest.approx(wanted, abs=1e-6, nan_ok=True), column


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_equals_torchmetrics(seed):
    classification = pytest.importorskip(
        "torchmetrics.functional.classification", reason="torchmetrics is not installed"
    )
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(3, 4, 20, 22))).float()
    truth = rng.integers(0, 4, (3, 20, 22)).astype(np.uint8)
    probability = logits.softmax(dim=1)
    inside = np.ones(truth.shape, bool)
    got = calibrations(probability.numpy(), truth, inside, ((1,), (1, 3)))
    for labels, one in zip(((1,), (1, 3)), got, strict=True):
        chance = probability[:, list(labels)].sum(dim=1).flatten()
        belongs = torch.from_numpy(np.isin(truth, labels).ravel())
        theirs = classification.binary_calibration_error(
            chance, belongs.int(), n_bins=N_BINS, norm="l1"
        )
        assert one.error == pytest.approx(theirs.item(), abs=1e-6)
