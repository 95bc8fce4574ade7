"""A group of one does nothing, and shares of a batch are dealt without a gap."""

import numpy as np
import pytest
import torch

from bratstrain.ranks.group import ALONE, Group


def test_one_process_has_all_of_a_batch():
    assert ALONE.own(6) == slice(0, 6)
    assert ALONE.deal([1, 2, 3]) == [1, 2, 3]
    assert ALONE.is_first


def test_a_group_of_one_gives_back_the_very_objects():
    one, two, counts = torch.ones(2), torch.zeros(3), np.arange(3)
    assert [given is kept for given, kept in zip(ALONE.total(one, two), (one, two), strict=True)]
    assert ALONE.average_([one], two) is two
    assert ALONE.add(counts) is counts
    assert ALONE.highest(3, 0.5) == (3, 0.5)


def test_a_group_of_one_is_first():
    assert ALONE.in_turn(lambda: "first", lambda: "others") == "first"
    assert ALONE.decide(lambda: 7) == 7


def test_a_group_of_one_makes_nothing_to_compare():
    ALONE.check_same("weights", lambda: pytest.fail("was made"))
    ALONE.wait()


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_shares_are_the_whole_batch_in_order(size):
    shares = [range(6)[Group(rank, size).own(6)] for rank in range(size)]
    assert [sample for share in shares for sample in share] == [*range(6)]


def test_things_are_dealt_in_turn_and_some_ranks_may_get_none():
    assert [Group(rank, 3).deal("ab") for rank in range(3)] == ["a", "b", ""]
