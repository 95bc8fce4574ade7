"""Lesions of BraTS 2024 against an oracle of its rules, and against printed official scores."""

import json
import math
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bratsprep.labels import shipped
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.lesion_groups import predicted_lesions, truth_lesions
from bratstrain.scoring.lesion_rules import CAVITY, RULES
from bratstrain.scoring.lesions import case_lesions
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers import lesions_2024 as oracle

GOLDEN = os.environ.get("BRATS_2024_GOLDEN", "")
"""JSON of volumes made of boxes, with what the official code prints of each."""
NAMES = {"NETC": "NCR", "SNFH": "ED", "RC": CAVITY}
"""Our names of the official ones."""
RULES_OF = {
    "GLI": "brats2024", "MET": "brats2024-met", "PED": "brats2024-ped", "SSA": "brats2024-ssa",
    "MEN": "brats2024-men", "MEN_RT": "brats2024-men-rt",
}  # fmt: skip
SPACINGS = [(1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (0.9, 0.9, 0.7), (0.5, 0.5, 0.5), (1.5, 1.2, 3.0)]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in surface_distance


def masks_of(label, task):
    return {
        NAMES.get(part, part): np.isin(np.ascontiguousarray(label), values)
        for part, values in oracle.PARTS[task].items()
    }


def ours(truth, predicted, spacing, task):
    """Our scores by the names that the official code prints."""
    rules = RULES[RULES_OF[task]]
    masks = masks_of(truth, task), masks_of(predicted, task)
    scores = case_lesions(*masks, spacing, rules)
    return {
        part: named_scores(scores[NAMES.get(part, part)], oracle.penalty(task, truth.shape))
        for part in oracle.PARTS[task]
    }


def stored(label, scheme):
    """The raw (z, y, x) labels as a build stores them."""
    return scheme.table()[label]


def named_scores(scores, worst):
    named = {
        "Num_TP": scores.n_found,
        "Num_FP": scores.n_false,
        "Num_FN": scores.n_missed,
        "LesionWise_Score_Dice": scores.lesionwise_dice,
        "LesionWise_Score_HD95": scores.lesionwise_hd95(worst),
    }
    kept, away = scores.kept, scores.kept.hd95_mm
    empty = math.isnan(kept.volume_dice)
    return named | {
        "Legacy_Dice": 1.0 if empty else kept.volume_dice,
        "Legacy_HD95": 0.0 if empty else away if math.isfinite(away) else worst,
        "Legacy NSD @ 0.5": kept.border_dice[0],
        "Legacy NSD @ 1.0": kept.border_dice[1],
        "LesionWise_Score_NSD @ 0.5": scores.lesionwise_border_dice(0.5),
        "LesionWise_Score_NSD @ 1.0": scores.lesionwise_border_dice(1.0),
    }


def painted(boxes, shape):
    """(z, y, x) labels of boxes over (x, y, z), later ones over earlier ones."""
    label = np.zeros(shape, np.uint8)
    for value, *spans in boxes:
        label[tuple(slice(*span) for span in spans)] = value
    return np.ascontiguousarray(label.transpose(2, 1, 0))


def random_case(seed, task, shape=(22, 24, 26)):
    """Boxes of every label, the prediction shifted, with some left out and some made up."""
    rng = np.random.default_rng(seed)
    highest = 1 if task == "MEN_RT" else 4 if task in ("GLI", "MET", "PED") else 3
    truth, predicted = [], []
    for _ in range(int(rng.integers(3, 9))):
        start = [int(rng.integers(0, side - 3)) for side in shape]
        size = [int(rng.integers(1, 7)) for _ in shape]
        value, shift = int(rng.integers(1, highest + 1)), rng.integers(-1, 2, 3).tolist()
        spans = [[a, a + n] for a, n in zip(start, size, strict=True)]
        moved = [[max(a + d, 0), max(b + d, 1)] for (a, b), d in zip(spans, shift, strict=True)]
        if rng.random() < 0.9:
            truth.append([value, *spans])
        if rng.random() < 0.8:
            other = int(rng.integers(1, highest + 1))
            predicted.append([value if rng.random() < 0.85 else other, *moved])
    return painted(truth, shape), painted(predicted, shape)


def agree(got, expected, precision=1e-9):
    for part, scores in got.items():
        for name, value in scores.items():
            assert value == pytest.approx(expected[part][name], abs=precision), (part, name)


@pytest.mark.parametrize("task", oracle.PARTS)
@pytest.mark.parametrize("seed", range(8))
def test_lesions_of_2024_equal_the_oracle(task, seed):
    truth, predicted = random_case(seed, task)
    spacing = SPACINGS[seed % len(SPACINGS)]
    agree(ours(truth, predicted, spacing, task), oracle.official(truth, predicted, spacing, task))


@pytest.mark.parametrize(
    ("task", "name", "names"),
    [
        ("GLI", "brats2024", {"NETC": "NCR", "SNFH": "ED"}),
        ("PED", "brats-ped", {"NETC": "NET"}),
        ("MEN_RT", "brats-men-rt", {}),
        ("MET", "brats-met", {"NETC": "NCR"}),
        ("MEN", "brats-men", {}),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_cases_of_a_scheme_equal_the_oracle_of_its_task(task, name, names, seed):
    """Raw labels, stored by the scheme and scored by its own convention's rules."""
    scheme = shipped()[name]
    truth, predicted = random_case(seed, task)
    spacing = SPACINGS[seed % len(SPACINGS)]
    rules = CONVENTIONS[scheme.convention].rules
    assert rules == RULES_OF[task]
    scores = score_case(
        stored(truth, scheme), stored(predicted, scheme), Grid(spacing), scheme.classes,
        tolerances=None, lesions=(rules,),
    )  # fmt: skip
    expected = oracle.official(truth, predicted, spacing, task)
    worst = oracle.penalty(task, truth.shape)
    got = {
        part: named_scores(scores.parts[names.get(part, part)].lesions[rules], worst)
        for part in oracle.PARTS[task]
    }
    agree(got, expected)


def test_lesions_are_joined_through_touching_tissue():
    """Two enhancing lesions on one core are one lesion, and missing one of them is no miss."""
    truth = painted(
        [[1, [10, 50], [20, 24], [20, 24]], [3, [10, 16], [24, 30], [20, 26]],
         [3, [44, 50], [24, 30], [20, 26]]], (60, 40, 40),
    )  # fmt: skip
    predicted = truth.copy()
    predicted[20:26, 24:30, 44:50] = 0
    scores = ours(truth, predicted, (1, 1, 1), "GLI")["ET"]
    assert (scores["Num_TP"], scores["Num_FP"], scores["Num_FN"]) == (1, 0, 0)
    assert scores["LesionWise_Score_Dice"] == pytest.approx(2 / 3)
    assert scores["LesionWise_Score_HD95"] == 34


@pytest.mark.parametrize(("gap", "n_lesions"), [(6, 1), (10, 1), (11, 2)])
def test_core_of_2024_is_dilated_five_times(gap, n_lesions):
    truth = painted(
        [[1, [0, 4], [2, 6], [2, 6]], [1, [4 + gap, 8 + gap], [2, 6], [2, 6]]], (20, 8, 8)
    )
    assert ours(truth, truth, (1, 1, 1), "GLI")["NETC"]["Num_TP"] == n_lesions


@pytest.mark.parametrize(
    ("rules", "spacing", "n_small"),
    [
        ("brats2023", (1, 1, 1), 1), ("brats2023", (1, 1, 2), 0), ("brats2023", (0.5, 0.5, 0.5), 1),
        ("brats2024", (1, 1, 1), 0), ("brats2024", (0.7, 0.7, 0.7), 1),
    ],
)  # fmt: skip
def test_threshold_of_the_truth_is_a_volume(rules, spacing, n_small):
    truth = {"WT": painted([[1, [1, 6], [1, 6], [1, 3]]], (8, 8, 8)) > 0}
    assert case_lesions(truth, truth, spacing, RULES[rules])["WT"].n_small == n_small


@cache
def golden():
    return json.loads(Path(GOLDEN).read_text())


@pytest.mark.skipif(not GOLDEN, reason="BRATS_2024_GOLDEN names no file of official scores")
@pytest.mark.parametrize("index", range(42))
def test_printed_official_scores_are_reproduced(index):
    row, shape = golden()["rows"][index], golden()["shape"]
    task, spacing = row["task"], tuple(row["spacing"])
    truth, predicted = painted(row["truth"], shape), painted(row["predicted"], shape)
    for part, expected in row["scores"].items():
        agree({part: ours(truth, predicted, spacing, task)[part]}, {part: expected}, 1e-6)
        ruled = oracle.official(truth, predicted, spacing, task)[part]
        agree({part: ruled}, {part: expected}, 1e-6)
        if task == "MEN":
            continue
        rules, name = RULES[RULES_OF[task]], NAMES.get(part, part)
        true = truth_lesions(masks_of(truth.transpose(), task), rules)[name].labels
        masks = masks_of(predicted.transpose(), task)
        said = predicted_lesions(masks, rules, math.prod(spacing))[name].labels
        rates = oracle.printed_rates(true.astype(np.int64), said.astype(np.int64))
        assert rates[0] == pytest.approx(expected["Sensitivity"], abs=1e-6)
        assert rates[1] == pytest.approx(expected["Specificity"], abs=1e-6)
