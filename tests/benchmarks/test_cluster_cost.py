"""The computed table of `docs/cluster.md`."""

from pathlib import Path

import pytest

from benchmarks.cluster_cost import CASE_CPU_S, JOIN_S, WRITE_S, said, seconds, table

PAGE = Path(__file__).parent.parent.parent / "docs" / "cluster.md"


def test_the_page_holds_the_computed_table():
    assert table() in PAGE.read_text()


def test_joining_comes_after_converting_and_writing_beside_it():
    assert seconds("parts", 100, 4) == pytest.approx(25 * CASE_CPU_S + 100 * JOIN_S)
    assert seconds("dask", 100, 1000) == pytest.approx(100 * WRITE_S)
    assert seconds("parts", 100, 1) == pytest.approx(100 * CASE_CPU_S)


@pytest.mark.parametrize(("value", "text"), [(30, "30 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_have_a_fitting_unit(value, text):
    assert said(value) == text
