import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

import bratstrain
from bratsprep.discovery.subject_tables import SubjectTable, table_for
from bratsprep.errors import BratsError
from bratstrain.leakage.audit import ADJUSTED, audit
from bratstrain.leakage.estimates import case_means
from bratstrain.leakage.exposure import COPY, OTHER, find_exposure
from bratstrain.leakage.result import MEAN
from bratstrain.leakage.size_model import clustered, regress
from bratstrain.leakage.summaries import ScoredCase, joined, read_summaries
from tests.helpers.nnunet_results import drawn_rows, write_summaries

ROOT = Path(__file__).parent.parent.parent.parent
PUBLISHED = ROOT / "data" / "published" / "task01_nnunet_per_case.csv"
"""Dice of each case of Task01; columns as `benchmarks/leak.py` reads them."""


def audited(tmp_path, seed=0, **facts):
    """Audit of made-up results, and the subjects of their cases."""
    rows, subjects = drawn_rows(seed, **facts)
    folder = write_summaries(tmp_path / "results", rows)
    table = tmp_path / "subjects.csv"
    lines = [f"{case},{subject}\n" for case, subject in subjects.items()]
    table.write_text("".join(["case,subject\n", *lines]))
    return bratstrain.evaluate_nnunet(folder, subjects=table)


def compared(result, score=MEAN, is_copy=True):
    """One comparison of pairs."""
    (found,) = [one for one in result.comparisons if (one.score, one.is_copy) == (score, is_copy)]
    return found


def test_gain_of_copies_is_recovered(tmp_path):
    result = audited(tmp_path, gain=0.2)
    pairs = compared(result, ADJUSTED)
    assert (pairs.n_split, pairs.n_within) == (6, 4)
    assert pairs.test.p == pytest.approx(1 / math.comb(10, 4))
    assert pairs.difference.value == pytest.approx(0.2, abs=0.03)
    effect = result.regression.effects[COPY]
    assert effect.value == pytest.approx(0.2, abs=0.03)
    assert result.regression.inflation.value == pytest.approx(effect.value * 12 / 80)
    assert result.inflation.total.value == pytest.approx(compared(result).term.value * 12 / 80)


def test_without_an_effect_no_inflation_is_found(tmp_path):
    result = audited(tmp_path, others=(12, 12))
    assert compared(result, ADJUSTED).test.p > 0.05
    assert result.regression.inflation.value == pytest.approx(0, abs=0.005)


def test_intervals_of_the_regression_hold_their_coverage():
    covered = []
    for seed in range(60):
        rows, subjects = drawn_rows(seed, others=(12, 12), gain=0.2)
        cases = [
            ScoredCase(case, fold, *({key: pair[i] for key, pair in parts.items()} for i in (0, 1)))
            for case, fold, parts in rows
        ]
        scores = joined(Path("drawn"), cases)
        exposure = find_exposure(scores, SubjectTable("csv:0123456789abcdef", subjects, {}))
        effects = regress(case_means(scores.dice), scores.voxels, exposure).effects
        covered.append([effects[kind].low < true < effects[kind].high
                        for kind, true in ((COPY, 0.2), (OTHER, 0.0))])  # fmt: skip
    assert np.mean(covered, axis=0).min() >= 0.9


def test_means_of_pairs_are_those_of_their_cases(tmp_path):
    result = audited(tmp_path, gain=0.1)
    dice = result.scores.dice.mean(axis=1)
    pairs = [pair for pair in result.exposure.pairs if pair.is_split]
    expected = np.mean([(dice[pair.first] + dice[pair.second]) / 2 for pair in pairs])
    assert compared(result).split == pytest.approx(expected)


def test_few_pairs_are_called_few(tmp_path):
    notes = "\n".join(audited(tmp_path, others=(12, 12)).notes)
    assert "same reference: 6 split and 4 within one fold" in notes
    assert "other reference" not in notes


def test_kind_without_a_control_has_no_estimate(tmp_path):
    result = audited(tmp_path, copies=(5, 0), others=(12, 12))
    pairs = compared(result)
    assert pairs.test is None
    assert pairs.to_json()["within"] is None
    assert OTHER in result.inflation.by_kind
    assert COPY not in result.inflation.by_kind
    assert result.inflation.total is None
    assert "5 split and 0 within one fold, so that there is nothing to compare" in str(result.notes)


def test_grouped_folds_have_nothing_to_estimate(tmp_path):
    result = audited(tmp_path, copies=(0, 3), alone=4)
    assert result.inflation.by_kind == {}
    assert result.regression is None
    assert "cannot be estimated" in "\n".join(result.lines())


def test_persons_who_all_occur_once_have_no_pairs(tmp_path):
    result = audited(tmp_path, copies=(0, 0))
    assert result.comparisons == ()
    assert result.inflation.total is None
    assert not any(line.startswith("Persons with two cases") for line in result.lines())


def test_ids_alone_are_called_ids_alone(tmp_path):
    rows, _ = drawn_rows(0)
    result = audit(read_summaries(write_summaries(tmp_path, rows)), table_for("names"))
    assert result.identified == "persons from case ids alone"
    assert any("'bratsprep twins'" in note for note in result.notes)


def test_missing_fold_is_named(tmp_path):
    rows, subjects = drawn_rows(0)
    left = [row for row in rows if row[1] != 2]
    people = SubjectTable("csv:0123456789abcdef", subjects, {})
    result = audit(read_summaries(write_summaries(tmp_path, left)), people)
    assert any(note.startswith("fold 2 is missing") for note in result.notes)


def test_json_holds_what_the_lines_show(tmp_path):
    result = audited(tmp_path, gain=0.1, others=(12, 12))
    record = json.loads(json.dumps(result.to_json(), allow_nan=False))
    lines = "\n".join(result.lines())
    assert f"{record['means']['mean']['value']:.3f}" in lines
    assert f"{record['inflation']['total']['value']:+.4f}" in lines
    assert f"{record['regression']['effects'][COPY]['value']:+.4f}" in lines
    assert len(record["per_case"]) == record["cases"] == len(result.scores.cases)
    assert sum(kind["cases"] for kind in record["exposure"].values()) == record["cases"]


def test_table_that_is_missing_is_an_error(tmp_path):
    rows, _ = drawn_rows(0, alone=10)
    folder = write_summaries(tmp_path, rows)
    with pytest.raises(BratsError, match="cannot be read as a CSV file"):
        bratstrain.evaluate_nnunet(folder, subjects=tmp_path / "none.csv")


def test_clusters_of_one_give_the_robust_covariance():
    generator = np.random.default_rng(1)
    design = np.column_stack([np.ones(30), generator.normal(0, 1, 30)])
    values = generator.normal(0, 1, 30)
    weights, covariance = clustered(design, values, [str(i) for i in range(30)])
    left = values - design @ weights
    inverse = np.linalg.inv(design.T @ design)
    meat = design.T @ np.diag(left**2) @ design
    np.testing.assert_allclose(covariance, inverse @ meat @ inverse * 30 / 28)  # HC1


def test_single_cluster_has_no_covariance():
    _, covariance = clustered(np.ones((3, 1)), np.arange(3.0), ["a"] * 3)
    assert np.isnan(covariance).all()


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"{PUBLISHED.name} is not in data/published/")
@pytest.mark.parametrize(
    ("network", "mean", "split", "within", "p"),
    [
        ("nnunet", 0.7398, 0.861, 0.623, 0.0004),
        ("resenc_m", 0.7415, 0.860, 0.603, 0.0004),
        ("resenc_l", 0.7359, 0.874, 0.593, 0.0002),
    ],
)
def test_published_scores_of_task01(tmp_path, network, mean, split, within, p):
    rows = []
    with PUBLISHED.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            parts = {
                key: (float(dice) if (dice := row[f"{network}_{name}"]) else None,
                      int(row[f"voxels_{name}"]))
                for key, name in (("1", "ED"), ("2", "NCR"), ("3", "ET"))
            }  # fmt: skip
            rows.append((row["case"], int(row["fold"]), parts))
    result = bratstrain.evaluate_nnunet(write_summaries(tmp_path, rows))
    pairs = compared(result)
    assert (pairs.n_split, pairs.n_within) == (16, 4)
    assert result.means[MEAN].value == pytest.approx(mean, abs=1e-4)
    assert pairs.split == pytest.approx(split, abs=5e-4)
    assert pairs.within == pytest.approx(within, abs=5e-4)
    assert pairs.test.p == pytest.approx(p, abs=5e-5)
    assert compared(result, "2").difference.low > 0
