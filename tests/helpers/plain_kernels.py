"""The reading kernels as Python, with what they call by address called through ctypes."""

import ctypes

import numpy as np

from bratsprep.deflate import decode_tables, decoder
from bratsprep.slicefile import inflate_pair, read_batch, readahead, to_float32

MODULES = (readahead, read_batch, decoder, decode_tables, inflate_pair, to_float32)


def call_by_ctypes(where, arguments):
    """What `foreign.call` does in compiled code."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))
    return kind(int(where))(*(int(argument) for argument in arguments))


def reader(size):
    """What `inflate.peek` and its like do in compiled code."""

    def read(address):
        return np.uint64(int.from_bytes(ctypes.string_at(int(address), size), "little"))

    return read


def writer(size):
    """What `inflate.poke` and its like do in compiled code."""

    def write(address, word):
        content = (int(word) % 256**size).to_bytes(size, "little")
        ctypes.memmove(int(address), content, size)

    return write


INTRINSICS = {
    "call": call_by_ctypes,
    "peek": reader(8),
    "peek_four": reader(4),
    "peek_one": reader(1),
    "poke": writer(8),
    "poke_two": writer(2),
}


def use_python(monkeypatch):
    """Have the kernels run as Python until the test is over."""
    for module in MODULES:
        for name, value in list(vars(module).items()):
            if name in INTRINSICS:
                monkeypatch.setattr(module, name, INTRINSICS[name])
            elif hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
