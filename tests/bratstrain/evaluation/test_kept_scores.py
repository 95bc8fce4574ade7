"""Scores of cases that come back from JSON as they were."""

import json
import math

import numpy as np
import pytest

from bratstrain.data.trained_cases import Compared
from bratstrain.data.twins import Twins
from bratstrain.evaluation import kept_scores
from bratstrain.evaluation.kept_scores import Kept, plain, read_kept, restored
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.calibration import Calibration
from bratstrain.scoring.metrics import Grid, score_case
from bratstrain.scoring.surface_scores import SURFACE_TOLERANCES_MM
from tests.helpers.class_sets import GLIOMA


def made(seed):
    """Scores of two random label volumes, one of them without a class."""
    generator = np.random.default_rng(seed)
    truth, predicted = generator.integers(0, 4, (2, 6, 7, 8)).astype(np.uint8)
    truth[truth == 3] = 0
    scores = score_case(
        truth, predicted, Grid((1.0, 1.0, 2.0)), GLIOMA, case=f"case-{seed}", lesions=("brats2023",)
    )
    sums = Calibration(np.array([3, 4]), np.array([0.25, 3.5]), np.array([1, 4]))
    return scores.with_calibration(dict.fromkeys(scores.parts, sums))


def kept():
    images = Compared(2, 3, 0.5, {"a": ("b", "c")}, {})
    twins = Twins("case", 2, {"a": ("b",)}, are_told=False, images=images)
    scores = (made(0), made(1))
    return Kept("digest", "cases", "planes", ("note",), twins, {"bad": "why"}, scores)


def returned(value):
    return restored(Kept, json.loads(json.dumps(plain(value))))


def test_scores_give_the_same_table():
    before, after = kept(), returned(kept())
    tables = [summarise(each.scores, cases="x").to_rows() for each in (before, after)]
    assert tables[0] == tables[1]
    np.testing.assert_array_equal(before.scores[1].confusion, after.scores[1].confusion)


def test_everything_else_comes_back():
    before, after = kept(), returned(kept())
    assert after.repeats == before.repeats
    assert (after.inputs, after.notes, after.set_aside) == ("digest", ("note",), {"bad": "why"})


def test_numbers_keep_their_types():
    part = next(iter(returned(kept()).scores[0].parts.values()))
    assert part.calibration.confidence.tolist() == [0.25, 3.5]
    assert part.calibration.n.dtype == np.int64
    assert list(part.surface.dice) == list(SURFACE_TOLERANCES_MM)
    assert {type(value) for value in part.lesions["brats2023"].hd95_mm} <= {float}


def test_type_of_an_array_that_is_an_alias_of_its_own(monkeypatch):
    monkeypatch.setattr(kept_scores, "NDArray", frozenset)  # as NumPy 2.5 has it
    table = restored(frozenset[np.uint8], [1, 2])
    assert (table.tolist(), table.dtype) == ([1, 2], np.uint8)


def test_infinite_and_missing_numbers_come_back():
    scores = returned(kept()).scores[0].parts
    before = kept().scores[0].parts
    found, wanted = (
        [part.surface.hd95_mm for part in parts.values()] for parts in (scores, before)
    )
    assert found == wanted
    assert any(math.isinf(distance) for distance in found)


@pytest.mark.parametrize("text", ["[]", "{}", "x", '{"inputs": "a"}'])
def test_a_file_of_another_version_counts_as_none(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    assert read_kept(tmp_path / "scores.json") is None


def test_a_record_with_other_fields_counts_as_none(tmp_path):
    record = plain(kept())
    del record["scores"][0]["classes"]
    (tmp_path / "scores.json").write_text(json.dumps(record))
    assert read_kept(tmp_path / "scores.json") is None
