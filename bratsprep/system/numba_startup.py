"""What Numba's start costs beside the kernels, and how to do without it.

Loading the first kernel takes half a second of one core. Two thirds of that buy nothing: Numba
imports SciPy only to learn whether it is there, and Python's garbage collector looks through a
hundred thousand objects of Numba's that will never be garbage.
"""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

_ASKING, _ASKED = "numba.np.arraymath", "ensure_blas"
_OWN = 1000
"""More objects than an interpreter freezes by itself when it starts: 375 in Python 3.12."""


@contextmanager
def quick_start() -> Iterator[None]:
    """Load kernels inside without SciPy and without the garbage collector."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        _skip_scipy()
        yield
    finally:
        if gc.get_freeze_count() < _OWN:  # else someone's frozen objects would be thawed
            gc.freeze()
            gc.unfreeze()  # all there is counts as old now, and is not looked through for long
        if was_on:
            gc.enable()


def _skip_scipy() -> None:
    """Let Numba's array library find SciPy, not import it.

    It asks once, at import, whether there is a BLAS; SciPy's takes 0.16 s and starts threads that
    wait by spinning. Functions that do use it ask again and import it then.
    """
    if _ASKING in sys.modules or find_spec("scipy") is None:
        return
    linalg = importlib.import_module("numba.np.linalg")
    ask = getattr(linalg, _ASKED, None)
    if ask is None:
        return
    setattr(linalg, _ASKED, lambda: None)
    try:
        asking = importlib.import_module(_ASKING)
    finally:
        setattr(linalg, _ASKED, ask)
    setattr(asking, _ASKED, ask)
