"""C functions by address, from inside kernels.

Addresses are arguments: a ctypes pointer as a global would keep Numba from caching the code.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.base import BaseContext
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic


def typed_call(
    typing: Context, address: types.Type, arguments: Sequence[types.Type]
) -> tuple[Signature, Callable[..., ir.Value]] | None:
    """What Numba puts in place of `call`: the arguments, as they are, to the function there."""
    if not all(kind in (types.int64, types.uint64) for kind in arguments):
        return None  # Numba says that there is no such call

    def emit(
        context: BaseContext, builder: ir.IRBuilder, _: Signature, values: list[ir.Value]
    ) -> ir.Value:
        word = ir.IntType(64)
        given = [builder.extract_value(values[1], i) for i in range(len(arguments))]
        pointer = ir.FunctionType(word, [word] * len(given)).as_pointer()
        return builder.call(builder.inttoptr(values[0], pointer), given)

    typed = signature(types.int64, types.int64, arguments)  # type: ignore[no-untyped-call]  # Numba
    return typed, emit


call: Any = intrinsic(typed_call)
"""`call(address, (argument, ...))` calls a C function with 64-bit integers; gives int64."""
