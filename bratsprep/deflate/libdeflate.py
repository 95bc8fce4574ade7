"""libdeflate by address: what its Python wrapper does not hand through."""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np


@cache
def libdeflate() -> ctypes.CDLL | None:
    """Load libdeflate as the imagecodecs wheel ships it, or None where there is none."""
    spec = find_spec("imagecodecs")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    for folder in (package.parent / "imagecodecs.libs", package / ".dylibs"):
        for path in sorted(folder.glob("libdeflate*")):
            library = ctypes.CDLL(str(path))
            library.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
            library.libdeflate_free_decompressor.argtypes = [ctypes.c_void_p]
            return library
    return None


def address(library: ctypes.CDLL, name: str) -> int:
    """Address of a C function in this process."""
    return ctypes.cast(library[name], ctypes.c_void_p).value or 0


@cache
def adler_address() -> int:
    """Address of libdeflate's Adler-32; 0 where there is no libdeflate."""
    library = libdeflate()
    return 0 if library is None else address(library, "libdeflate_adler32")


def gunzip(packed: memoryview, unpacked: memoryview) -> bool:
    """Unpack a gzip file of one member that fills a buffer to its last byte.

    The interpreter's lock is let go of meanwhile.

    Args:
        packed: the whole file.
        unpacked: written.

    Returns:
        False where it is damaged, is not the whole file, or does not fill the buffer, and where
        there is no libdeflate; `unpacked` may be written even so.
    """
    library = libdeflate()
    if library is None:
        return False
    sizes = ctypes.c_size_t(0), ctypes.c_size_t(0)
    inflater = library.libdeflate_alloc_decompressor()
    try:
        code = library.libdeflate_gzip_decompress_ex(
            ctypes.c_void_p(inflater),
            _place(packed), ctypes.c_size_t(len(packed)),
            _place(unpacked), ctypes.c_size_t(len(unpacked)),
            ctypes.byref(sizes[0]), ctypes.byref(sizes[1]),
        )  # fmt: skip
    finally:
        library.libdeflate_free_decompressor(inflater)
    return code == 0 and (sizes[0].value, sizes[1].value) == (len(packed), len(unpacked))


def _place(block: memoryview) -> ctypes.c_void_p:
    """Where a block of bytes lies, read-only ones too."""
    return ctypes.c_void_p(np.frombuffer(block, np.uint8).ctypes.data)
