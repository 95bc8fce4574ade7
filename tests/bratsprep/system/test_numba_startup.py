"""Numba's start is short, and leaves no trace of how."""

import gc
import subprocess
import sys

import pytest

from bratsprep.system import numba_startup

FRESH = """
import sys
import numba
import numpy as np
from bratsprep.system import numba_startup as start
from bratsprep.volumes.warm import warm

{before}
warm(np.int16)
print("scipy.linalg" in sys.modules)

@numba.njit
def product(a):
    return np.dot(a, a)

print(product(np.eye(2)).tolist())
"""


def said(before=""):
    """What a fresh process prints."""
    code = FRESH.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")


@pytest.mark.slow
def test_kernels_load_without_scipy_and_numba_can_use_it_later():
    assert said()[:2] == ["False", "[[1.0, 0.0], [0.0, 1.0]]"]


@pytest.mark.slow
def test_a_numba_that_asks_in_another_way_is_left_alone():
    before = "import numba.np.linalg\nstart._ASKED = 'no_such_function'"
    assert said(before)[:2] == ["True", "[[1.0, 0.0], [0.0, 1.0]]"]


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_off_inside_and_as_it_was_outside(was_on):
    (gc.enable if was_on else gc.disable)()
    try:
        with numba_startup.quick_start():
            assert not gc.isenabled()
        assert gc.isenabled() == was_on
    finally:
        gc.enable()


def test_what_was_loaded_counts_as_old():
    with numba_startup.quick_start():
        loaded = [[] for _ in range(1000)]
    assert gc.get_count()[0] < 1000
    young = {id(each) for each in (*gc.get_objects(0), *gc.get_objects(1))}
    assert not any(id(each) in young for each in loaded)


def test_frozen_objects_stay_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with numba_startup.quick_start():
            pass
        assert gc.get_freeze_count() > frozen - 100 > 1000  # a few may end meanwhile
    finally:
        gc.unfreeze()


def test_scipy_that_is_not_there_is_not_looked_for(monkeypatch):
    monkeypatch.delitem(sys.modules, "numba.np.arraymath", raising=False)
    monkeypatch.setattr(numba_startup, "find_spec", lambda _: None)
    with numba_startup.quick_start():
        pass
    assert "numba.np.arraymath" not in sys.modules
