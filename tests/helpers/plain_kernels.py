"""The reading kernels as Python, with what they call by address called through ctypes."""

import ctypes

from bratsprep.slicefile import read_batch, read_chunk, readahead, to_float32

MODULES = (readahead, read_batch, read_chunk, to_float32)


def call_by_ctypes(where, arguments):
    """What `c_call.call` does in compiled code."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))
    return kind(int(where))(*(int(argument) for argument in arguments))


def use_python(monkeypatch):
    """Have the kernels run as Python until the test is over."""
    for module in MODULES:
        for name, value in list(vars(module).items()):
            if name == "call":
                monkeypatch.setattr(module, name, call_by_ctypes)
            elif hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
