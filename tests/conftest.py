"""One hypothesis profile for every test, slow fixtures, and the real cases where there are any."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.costs import (  # noqa: F401  hooks
    leave_out_long,
    pytest_addoption,
    pytest_configure,
    pytest_fixture_setup,
    pytest_runtest_makereport,
)

# Before torch is loaded: networks as small as these, in as many processes as there are cores, gain
# nothing from more threads, which wait for each other in loops.
os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("bratsprep", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("bratsprep")

REAL = Path(__file__).parent.parent.parent / "shared" / "real"
SLOW_FIXTURES = frozenset({"exported"})
"""Fixtures that take over a second: the tests that use one count as slow."""
OUTSIDE = ("tests/attacks/", "tests/benchmarks/", "tests/end_to_end/", "tests/fuzz/")
"""Tests of no room."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark tests by fixtures and folders before `-m` selects; files of slow ones come first.

    What a slow test or one of no room runs does not count for a room's coverage, and takes half
    the time without: `uncounted`.
    """
    slow_files = set()
    for item in items:
        if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
        is_slow = item.get_closest_marker("slow")
        if is_slow:
            slow_files.add(item.path)
        if is_slow or item.nodeid.startswith(OUTSIDE):
            item.add_marker("uncounted")
    items.sort(key=lambda item: item.path not in slow_files)
    if config.getoption("--quick"):
        leave_out_long(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Count no coverage for a whole test, its fixtures included; `no_cover` counts those."""
    coverage = item.config.pluginmanager.getplugin("_cov")
    controller = coverage and coverage.cov_controller
    if not controller or not item.get_closest_marker("uncounted"):
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Folder of `python`, `bratsprep` and `bratstrain` that do not import torch anew."""
    from tests.helpers.programs import forking  # noqa: PLC0415  which imports torch

    with forking(tmp_path_factory.mktemp("programs")) as folder:
        yield folder


@pytest.fixture
def forked_python(programs, monkeypatch):
    """Let `sys.executable`, in this test and in what it starts, be a program that is a fork."""
    monkeypatch.setattr(sys, "executable", str(programs / "python"))


@pytest.fixture
def real():
    """Folder of the real cases; the test is skipped where it is missing."""
    if not REAL.is_dir():
        pytest.skip("the real cases are not on this machine")
    return REAL
