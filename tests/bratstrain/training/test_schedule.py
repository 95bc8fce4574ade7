import math

import pytest

from bratstrain.training.schedule import ema_decay, learning_rate, time_to_learn


@pytest.mark.parametrize(
    ("kind", "progress", "share"),
    [
        ("constant", 1.0, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("poly", 0.0, 1.0),
        ("poly", 0.75, 0.25**0.9),
        ("poly", 1.0, 0.0),
    ],
)
def test_rate_follows_its_curve(kind, progress, share):
    assert learning_rate(0.4, kind, 0, 7, progress) == pytest.approx(0.4 * share, abs=1e-15)


def test_rate_rises_from_above_0_to_the_peak():
    rates = [learning_rate(1.0, "constant", 4, step, 0.0) for step in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_warmup_takes_at_most_a_tenth_of_a_short_run():
    rates = [learning_rate(1.0, "constant", 1000, step, step / 20) for step in range(3)]
    assert rates == [0.001, 0.5, 1.0]


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_rate_refuses_progress_outside_the_run(progress):
    with pytest.raises(ValueError, match="progress must be 0 to 1"):
        learning_rate(1.0, "cosine", 0, 0, progress)


def test_rate_refuses_an_unknown_schedule():
    with pytest.raises(ValueError, match="must be one of constant, cosine, poly, got 'step'"):
        learning_rate(1.0, "step", 0, 0, 0.0)


def test_decay_is_small_at_first_and_never_above_its_limit():
    assert [ema_decay(0.5, step) for step in (0, 2, 8, 10_000)] == [0.1, 0.25, 0.5, 0.5]


@pytest.mark.parametrize(("validation_s", "left_s"), [(0, 50), (4, 46), (10, 40), (99, 40)])
def test_time_to_learn_leaves_a_fifth_at_most_to_the_last_validation(validation_s, left_s):
    assert time_to_learn(50, validation_s) == left_s
