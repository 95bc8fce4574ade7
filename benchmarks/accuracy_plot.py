"""The curve of `benchmarks.accuracy`: score over minutes of training."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.accuracy_scores import Scored
from benchmarks.twins import INK

COLOURS = ("#2f6f9f", "#3f9f8f", "#7a5fa8", "#8a8478", "#d1730d", "#b3382c")
MARKERS = "osD^vP"
N_PANELS = 2
"""Mean of classes, and of regions."""


def draw(done: Sequence[Scored], clock: str, path: Path) -> None:
    """Draw a panel for the mean of classes and one for the mean of regions.

    Args:
        done: what is scored; seeds are averaged.
        clock: of the minutes.
        path: PNG to write.
    """
    mpl.use("Agg")
    names = list(dict.fromkeys(one.side.name for one in done))
    figure, axes = plt.subplots(1, N_PANELS, figsize=(10, 4.6), layout="constrained", sharey=True)
    for axis, part in zip(axes, done[0].evaluation.order[:N_PANELS], strict=True):
        for number, name in enumerate(names):
            draw_side(axis, [one for one in done if one.side.name == name], part, number)
        every = sorted({one.minutes for one in done})
        axis.set_xscale("log")
        axis.set_xticks(every, [f"{minutes:g}" for minutes in every], fontsize=8)
        axis.minorticks_off()
        axis.set_ylim(0, 1)
        axis.grid(axis="y", color="#e6e2da", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set_xlabel(f"minutes of training ({clock} time)", color=INK)
        axis.set_title(part, loc="left", fontsize=10, color=INK)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK)
    axes[0].set_ylabel("volume Dice, mean of cases", color=INK)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_side(axis: Axes, own: Sequence[Scored], part: str, number: int) -> None:
    """Draw one side's points, joined."""
    minutes = sorted({one.minutes for one in own})
    means = [
        np.mean([one.evaluation.rows()[part]["mean"] for one in own if one.minutes == at])
        for at in minutes
    ]
    n_cases = min(len(one.evaluation.cases) for one in own)
    name = f"{own[0].side.name} ({n_cases} cases)"
    axis.plot(minutes, means, marker=MARKERS[number % len(MARKERS)], markersize=5, linewidth=1.4,
              color=COLOURS[number % len(COLOURS)], label=name)  # fmt: skip
