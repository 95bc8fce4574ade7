"""What a seed does: groups of runs, the spread between them, and intervals that include it."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from bratstrain.studies.repeats import difference_of, repeats_of, seed_rows, spread_of
from bratstrain.studies.tables import SEEDED, markdown, terminal_lines, write_study
from tests.helpers.studies import outcome, study


def runs(name, scores, **fit):
    """Outcomes of equal settings with the seeds 0, 1, ..."""
    return [outcome(f"{name}-{seed}", dice, seed=seed, **fit) for seed, dice in enumerate(scores)]


@pytest.fixture
def seeded():
    return study(
        *runs("plain", [[0.4, 0.6], [0.5, 0.7], [0.6, 0.8]], steps=10),
        *runs("long", [[0.6, 0.9], [0.7, 0.8]], steps=20),
        outcome("wide", [0.7, 0.8], steps=30),
    )


def test_runs_are_grouped_by_their_settings_but_the_seed(seeded):
    groups = repeats_of(seeded)
    assert [(group.name, [*group.by_seed]) for group in groups] == [
        ("plain-0", [0, 1, 2]), ("long-0", [0, 1]), ("wide", [0]),
    ]  # fmt: skip


def test_the_same_seed_again_is_no_repeat():
    again = study(outcome("one", [0.5]), outcome("same", [0.7]))
    assert [[*group.by_seed] for group in repeats_of(again)] == [[0]]
    assert seed_rows(again)[1] == []


def test_spread_is_pooled_over_all_that_is_repeated(seeded):
    spread = spread_of(repeats_of(seeded))
    assert spread.n_free == 3
    assert spread.sd == pytest.approx(math.sqrt((0.1**2 + 0 + 0.1**2 + 0 + 0) / 3))


def test_interval_joins_cases_and_seeds(seeded):
    groups = repeats_of(seeded)
    spread = spread_of(groups)
    gain = difference_of(groups[1], groups[0], spread)
    apart = np.array([0.65 - 0.5, 0.85 - 0.7])
    assert gain.mean == pytest.approx(apart.mean())
    assert math.isnan(gain.low)  # both cases gain alike
    gain = difference_of(groups[2], groups[0], spread)
    apart = np.array([0.7 - 0.5, 0.8 - 0.7])
    by_case = stats.t.ppf(0.975, 1) * apart.std(ddof=1) / math.sqrt(2)
    by_seed = stats.t.ppf(0.975, 3) * spread.sd * math.sqrt(1 / 1 + 1 / 3)
    half = math.hypot(by_case, by_seed)
    assert (gain.low, gain.high) == pytest.approx((apart.mean() - half, apart.mean() + half))


def test_a_case_that_one_run_leaves_out_counts_for_none():
    groups = repeats_of(
        study(
            *runs("plain", [[0.4, 0.5, math.nan], [0.6, 0.7, 0.9]]),
            outcome("b", [1, 1, 1], steps=9),
        )
    )
    assert groups[0].means.tolist() == pytest.approx([0.45, 0.65])
    assert difference_of(groups[1], groups[0], spread_of(groups)).n_cases == 2


def test_the_interval_covers_what_it_says():
    """400 made studies of two settings that are equally good; seeds matter as much as cases."""
    rng, n_covered = np.random.default_rng(5), 0
    for _ in range(400):
        cases = rng.normal(0.6, 0.15, 10)
        drawn = [
            [cases + rng.normal(0, 0.03) + rng.normal(0, 0.05, 10) for _ in range(n_runs)]
            for n_runs in (3, 2)
        ]
        groups = repeats_of(study(*runs("a", drawn[0], steps=1), *runs("b", drawn[1], steps=2)))
        gain = difference_of(groups[1], groups[0], spread_of(groups))
        n_covered += gain.low <= 0 <= gain.high
    assert 0.94 * 400 <= n_covered <= 0.995 * 400


def test_page_and_terminal_show_every_run(seeded):
    for lines in (terminal_lines(seeded), markdown(seeded)):
        text = "\n".join(lines)
        assert "0.500 0.600 0.700" in text
        assert "SD 0.082, 3 degrees of freedom" in text
        assert SEEDED in text
        assert "one run each" not in text


def test_numbers_are_in_the_json(seeded, tmp_path):
    write_study(seeded, tmp_path)
    seeds = json.loads((tmp_path / "study.json").read_text())["seeds"]
    assert seeds["degrees_of_freedom"] == 3
    names = [group["experiment"] for group in seeds["groups"]]
    assert names == ["plain-0", "long-0", "wide"]
    assert seeds["groups"][0]["minus_baseline"]["mean"] is None
    assert seeds["groups"][2]["minus_baseline"]["n_cases"] == 2


def test_without_repeats_nothing_is_added(tmp_path):
    plain = study(outcome("one", [0.5, 0.6]), outcome("two", [0.6, 0.8], steps=3))
    assert "one run each" in "\n".join(terminal_lines(plain))
    assert "## Seeds" not in markdown(plain)
    write_study(plain, tmp_path)
    assert json.loads((tmp_path / "study.json").read_text())["seeds"] == {}


def test_an_unfinished_baseline_gives_no_difference(seeded):
    rest = study(*seeded.outcomes[1:])
    unfinished = type(seeded)(seeded.plan, "raw", rest.outcomes[2:])
    assert not any(row.gain.is_known for row in seed_rows(unfinished)[1])
