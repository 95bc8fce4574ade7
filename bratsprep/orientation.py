"""Directions of a file's axes, and the way from the order of a file to RAS+ and back."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RAS: Final = ("LR", "PA", "IS")
"""The two directions of x, y and z; RAS+ rises towards the second."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """Directions of the three axes of a file."""

    codes: str
    """nibabel's code of the direction that each axis rises towards, such as `LPS`."""

    def __str__(self) -> str:
        return self.codes

    @property
    def axes(self) -> tuple[int, int, int]:
        """Axes of the file that run along x, y and z."""
        x, y, z = (
            next(axis for axis, code in enumerate(self.codes) if code in pair) for pair in RAS
        )
        return x, y, z

    @property
    def depth_axis(self) -> int:
        """Axis of the file that runs along z."""
        return self.axes[2]

    @property
    def flips(self) -> tuple[bool, bool, bool]:
        """Whether z, y and x of the file fall where those of RAS+ rise."""
        z, y, x = (pair[0] in self.codes for pair in reversed(RAS))
        return z, y, x

    @property
    def turn(self) -> tuple[slice, slice, slice]:
        """Index that turns a (z, y, x) volume from the file's directions to RAS+ and back."""
        z, y, x = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return z, y, x

    @property
    def is_permuted(self) -> bool:
        """Whether the axes are in another order than left-right, front-back, up-down."""
        return self.axes != (0, 1, 2)

    def sides(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Voxels along z, y and x of a file of a (first, second, third) shape."""
        x, y, z = (shape[axis] for axis in self.axes)
        return z, y, x

    def as_axial(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Bring the axes of a volume, not their directions, into (z, y, x) order.

        Args:
            volume: (third, second, first) axis of the file, any dtype.

        Returns:
            (z, y, x), C order; the volume itself where its axes are in that order already.
        """
        order = [2 - axis for axis in reversed(self.axes)]
        return np.ascontiguousarray(volume.transpose(order))

    def to_file_order(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Undo `as_axial` and the flips.

        Args:
            volume: (z, y, x) in RAS+ order, any dtype.

        Returns:
            (first, second, third) axis of the file, directions as in the file; a view.
        """
        order = [2 - self.axes.index(axis) for axis in range(3)]
        return volume[self.turn].transpose(order)


def as_it_lies(array: NDArray[Any]) -> tuple[slice, ...]:
    """Slices that turn the axes of an array into the direction in which they lie in memory.

    Args:
        array: any shape and dtype, such as a view in RAS+ order.
    """
    return tuple(slice(None, None, -1 if step < 0 else 1) for step in array.strides)
