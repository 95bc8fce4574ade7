"""What each test took when it was last run here, and `--quick`, which leaves out what took long.

The seconds are in pytest's cache, so that nobody keeps a list of slow tests. What a fixture of a
module or a session took is shared by the tests that use it. A test of unknown cost is run.
"""

import time
from collections import Counter

import pytest

QUICK_S = 0.05
"""What a quick test takes at most."""
KEY = "bratsprep/costs"
WAITED = pytest.StashKey()
"""Of a test: seconds by the place of each shared fixture that it was the first to use."""


def pytest_addoption(parser):
    """Add `--quick`."""
    parser.addoption(
        "--quick", action="store_true",
        help=f"leave out the tests that took over {QUICK_S} s when they were last run here",
    )  # fmt: skip


def pytest_configure(config):
    """Begin to note costs, in the process that hears of every test."""
    if not hasattr(config, "workerinput") and getattr(config, "cache", None):
        config.pluginmanager.register(Costs(config.cache))


class Costs:
    """Seconds of tests and of shared fixtures, those of earlier runs included."""

    def __init__(self, cache):
        self.cache = cache
        self.tests, self.fixtures = Counter(), {}

    def pytest_runtest_logreport(self, report):
        """Add what a phase of a test took, without the shared fixtures."""
        waited = getattr(report, "waited", {})
        self.fixtures |= waited
        self.tests[report.nodeid] += report.duration - sum(waited.values())

    def pytest_sessionfinish(self):
        """Write them down; what was not run keeps its cost."""
        known = self.cache.get(KEY, {})
        tests = known.get("tests", {}) | {name: round(s, 3) for name, s in self.tests.items()}
        self.cache.set(KEY, {"tests": tests, "fixtures": known.get("fixtures", {}) | self.fixtures})


def place_of(definition):
    """Where a fixture is defined, and its name."""
    return f"{definition.baseid}::{definition.argname}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Note what a shared fixture takes; what it asks for has been made before."""
    begin = time.perf_counter()
    result = yield
    if fixturedef.scope != "function":
        waited = request._pyfuncitem.stash.setdefault(WAITED, {})
        waited[place_of(fixturedef)] = round(time.perf_counter() - begin, 3)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let the report of the first phase say what the test has waited for."""
    report = yield
    if call.when == "setup":
        report.waited = item.stash.get(WAITED, {})
    return report


def shared_by(item):
    """Places of the shared fixtures that a test uses."""
    found = item._fixtureinfo.name2fixturedefs.values()
    return [place_of(each[-1]) for each in found if each[-1].scope != "function"]


def leave_out_long(config, items):
    """Leave the tests out of a list that are known to take long."""
    known = config.cache.get(KEY, {"tests": {}, "fixtures": {}})
    users = Counter(place for item in items for place in shared_by(item))

    def cost(item):
        shared = sum(known["fixtures"].get(place, 0) / users[place] for place in shared_by(item))
        return known["tests"].get(item.nodeid, 0) + shared

    long, quick = [], []
    for item in items:
        (long if cost(item) > QUICK_S else quick).append(item)
    config.hook.pytest_deselected(items=long)
    items[:] = quick
