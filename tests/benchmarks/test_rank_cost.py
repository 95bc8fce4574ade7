"""The computed tables of `docs/cluster.md` about several GPUs."""

from pathlib import Path

import pytest

from benchmarks.rank_cost import (
    DELAY_S,
    bytes_table,
    counted,
    message_s,
    speed_table,
    step_s,
)
from bratstrain.networks.build import build_model
from bratstrain.recipes import configure

STRONG = "`strong`"
PAGE = Path(__file__).parent.parent.parent / "docs" / "cluster.md"


def test_the_page_holds_the_computed_tables():
    assert bytes_table() in PAGE.read_text()
    assert speed_table(STRONG) in PAGE.read_text()


def test_gradients_are_four_bytes_a_weight():
    network = build_model(configure().model)
    n_bytes = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    assert counted(STRONG)[0] == pytest.approx(n_bytes / 1e6)


def test_a_ring_sends_nearly_twice_the_bytes():
    assert message_s(8e9, 8, 1e9) == pytest.approx(14 + 14 * DELAY_S)
    assert message_s(8e9, 1, 1e9) == 0


def test_one_rank_takes_its_step_and_sends_nothing():
    assert step_s(0.5, 1, STRONG, 1e9) == 0.5
