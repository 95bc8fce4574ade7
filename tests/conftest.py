"""One hypothesis profile for every test, and the folder of real cases where there is one."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("bratsprep", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("bratsprep")

REAL = Path(__file__).parent.parent.parent / "shared" / "real"


@pytest.fixture
def real():
    """Folder of the real cases; the test is skipped where it is missing."""
    if not REAL.is_dir():
        pytest.skip("the real cases are not on this machine")
    return REAL
