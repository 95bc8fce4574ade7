"""The picture of `docs/leak.md`: scores of repeated patients, split between folds or not."""

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from benchmarks.leak_tables import NETWORKS
from benchmarks.twins import BLUE, INK
from bratsprep.config import USUAL_CLASSES
from bratstrain.leakage.estimates import case_means

ORANGE = "#d1730d"
PART = "NCR"
"""Class of the right panel: the one that two segmentations of a scan disagree on most."""


def draw(audits, agreement, path):
    """Draw both panels.

    Args:
        audits: audit of each network, by its name.
        agreement: `leak_masks.Agreement` of the pairs of one scan with two segmentations.
        path: PNG to write.
    """
    mpl.use("Agg")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4.6), layout="constrained", width_ratios=(1.15, 1)
    )
    draw_copies(left, audits)
    draw_references(right, next(iter(audits.values())), agreement)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_copies(axis, audits):
    """Score of each pair with one reference, split pairs beside those within one fold."""
    for place, one in enumerate(audits.values()):
        means = case_means(one.scores.dice)
        pairs = [pair for pair in one.exposure.pairs if pair.is_copy]
        for is_split, shift, colour in ((True, -0.17, BLUE), (False, 0.17, ORANGE)):
            own = [pair for pair in pairs if pair.is_split == is_split]
            values = np.array([(means[pair.first] + means[pair.second]) / 2 for pair in own])
            spread = np.linspace(-0.08, 0.08, len(values))
            axis.plot(place + shift + spread, np.sort(values), "o", color=colour, markersize=5,
                      alpha=0.75, markeredgewidth=0)  # fmt: skip
            axis.hlines(values.mean(), place + shift - 0.13, place + shift + 0.13, color=INK)
            axis.annotate(f"{values.mean():.3f}".removeprefix("0"),
                          (place + shift, 0.955 if is_split else values.mean() + 0.02),
                          ha="center", fontsize=9, color=colour)  # fmt: skip
    counts = [sum(pair.is_split == is_split for pair in pairs) for is_split in (True, False)]
    axis.plot([], [], "o", color=BLUE, label=f"in two folds ({counts[0]} pairs)")
    axis.plot([], [], "o", color=ORANGE, label=f"in one fold ({counts[1]} pairs)")
    axis.legend(frameon=False, loc="lower left", fontsize=9, title="the two copies of a scan lie")
    axis.set_xticks(range(len(audits)), [NETWORKS[name] for name in audits], color=INK)
    axis.set_ylim(0, 1)
    axis.set_ylabel("volume Dice, mean of classes and of both cases", color=INK)
    axis.set_title("One scan and one segmentation under two ids", loc="left", fontsize=10)


def draw_references(axis, audit, agreement):
    """Score of each pair with two references against their agreement."""
    column = USUAL_CLASSES[1:].index(PART)
    scores = agreement.scores(audit.scores.dice)[:, column]
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    groups = (
        (agreement.is_split, BLUE, "in two folds"),
        (~agreement.is_split, ORANGE, "in one fold"),
    )
    for mask, colour, label in groups:
        axis.plot(agreement.dice[mask, column], scores[mask], "o", color=colour, markersize=5,
                  alpha=0.75, markeredgewidth=0, label=f"{label} ({mask.sum()} pairs)")  # fmt: skip
    axis.legend(frameon=False, loc="lower right", fontsize=9, title="the two cases lie")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_aspect("equal")
    axis.set_xlabel(f"Dice of the two segmentations with each other, {PART}", color=INK)
    axis.set_ylabel(f"volume Dice of nnU-Net v2, {PART}, mean of both cases", color=INK)
    axis.set_title("One scan with two segmentations", loc="left", fontsize=10)
