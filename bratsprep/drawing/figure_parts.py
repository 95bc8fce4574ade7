"""Parts of matplotlib figures that both packages draw: labels, sides, and the legend of classes."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bratsprep.labels import ClassSet

ON_BLACK: Final = "white"
"""Text and outlines on a black figure."""


def draw_label(axes: Axes, label: NDArray[np.uint8], opacity: float, classes: ClassSet) -> None:
    """Draw the classes over what is drawn already.

    Args:
        axes: to draw on.
        label: (h, w) uint8, stored classes, in the orientation of the picture below it.
        opacity: of the colours, 0 to 1.
        classes: of the label.
    """
    shown = np.ma.masked_equal(label, 0)
    colours = ListedColormap(classes.colours[1:])
    axes.imshow(
        shown,
        colours,
        vmin=1,
        vmax=max(len(classes) - 1, 2),
        alpha=opacity,
        interpolation="nearest",
    )


def mark_sides(axes: Axes) -> None:
    """Write R and L on the sides of a picture in radiological orientation."""
    for x, side, align in ((0.03, "R", "left"), (0.97, "L", "right")):
        axes.text(
            x, 0.5, side, color=ON_BLACK, fontsize=10, ha=align, va="center",
            transform=axes.transAxes,
        )  # fmt: skip


def class_legend(figure: Figure, classes: ClassSet) -> None:
    """Put the legend of the classes into the lower right corner of a black figure."""
    handles = [Patch(color=classes.colour(name), label=name) for name in classes.tumour]
    figure.legend(
        handles=handles, loc="lower right", ncols=len(handles), fontsize=9, labelcolor=ON_BLACK,
        frameon=False, borderaxespad=0.2,
    )  # fmt: skip
