"""Any bytes into every way in: our own error or a result, quickly, and nothing else.

`python -m benchmarks.fuzz` does the same with a fuzzer that is guided by coverage.
"""

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers import fuzz_targets
from tests.helpers.fuzz_targets import TARGETS

SLOW = {"slice file": 15, "chunk": 30, "pickle": 15, "checkpoint": 25, "tar.gz": 30}
"""Examples of the targets that take over a millisecond."""
edits = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.one_of(
            st.integers(0, 255).map(lambda value: bytes([value])),
            st.sampled_from([b"\xff" * 4, b"\x7f" * 8, b"\0" * 8, b"9" * 20, b"[" * 500]),
            st.binary(min_size=1, max_size=8),
        ),
        st.sampled_from(["overwrite", "insert", "cut"]),
    ),
    min_size=1,
    max_size=4,
)


def edited(content, changes):
    """Bytes of a good input with a few places changed."""
    for share, part, how in changes:
        at = int(share * len(content))
        rest = content[at:] if how == "insert" else content[at + len(part) :]
        content = content[:at] + (b"" if how == "cut" else part) + rest
    return content


@pytest.mark.parametrize("name", list(TARGETS))
def test_good_inputs_are_taken(name):
    said = [fuzz_targets.attempt(name, seed) for seed in TARGETS[name].seeds()]
    assert "" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TARGETS))
def test_edited_inputs_give_nothing_but_our_errors(name):
    seeds = list(TARGETS[name].seeds())

    @settings(
        max_examples=SLOW.get(name, 80), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(seed=st.sampled_from(seeds), changes=edits)
    def run(seed, changes):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            fuzz_targets.attempt(name, edited(seed, changes))

    run()


@pytest.mark.parametrize("name", ["header", "volume", "inflate", "tar", "zip", "manifest", "names"])
@given(content=st.binary(max_size=700))
def test_any_bytes_give_nothing_but_our_errors(name, content):
    fuzz_targets.attempt(name, content)
