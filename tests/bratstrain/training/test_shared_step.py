"""Steps of several ranks are those of one process on the whole batch."""

import pytest

from bratstrain.ranks.process_group import joined
from tests.helpers.fitfiles import one_thread  # noqa: F401  for every test here
from tests.helpers.ranks import found_by_ranks, place_of_one
from tests.helpers.shared_steps import CPU, KINDS, learn

CODE = """
from tests.helpers.shared_steps import KINDS, learn
found |= {kind: learn(kind, group) for kind in KINDS}
found |= {f"{kind} again": learn(kind, group, steps=3) for kind in KINDS}
"""


@pytest.fixture(scope="module")
def by_two(programs, tmp_path_factory):
    return found_by_ranks(programs, tmp_path_factory.mktemp("two") / "ranks", CODE)


@pytest.fixture(scope="module")
def by_two_again(programs, tmp_path_factory):
    return found_by_ranks(programs, tmp_path_factory.mktemp("again") / "ranks", CODE)


@pytest.fixture(scope="module")
def by_three(programs, tmp_path_factory):
    return found_by_ranks(programs, tmp_path_factory.mktemp("three") / "ranks", CODE, size=3)


def furthest(state, other):
    """Largest difference of two states."""
    return max(float((state[name].double() - other[name].double()).abs().max()) for name in state)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_equal_one(by_two, kind):
    losses, state = learn(kind)
    assert by_two[0][kind][0] == pytest.approx(losses, abs=1e-4)
    assert furthest(state, by_two[0][kind][1]) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_three_ranks_equal_one(by_three, kind):
    assert furthest(learn(kind)[1], by_three[2][kind][1]) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_ranks_end_with_the_same_bits(by_three, kind):
    assert all(rank[kind][0] == by_three[0][kind][0] for rank in by_three)
    assert all(furthest(rank[kind][1], by_three[0][kind][1]) == 0 for rank in by_three)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_equal_themselves_to_the_bit(by_two, by_two_again, kind):
    assert by_two[0][kind][0] == by_two_again[0][kind][0]
    assert furthest(by_two[0][kind][1], by_two_again[0][kind][1]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_of_one_equals_no_group_to_the_bit(tmp_path, kind):
    with joined(place_of_one(tmp_path), CPU) as group:
        losses, state = learn(kind, group, steps=3)
    alone, expected = learn(kind, steps=3)
    assert losses == alone
    assert furthest(state, expected) == 0
