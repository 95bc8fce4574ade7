"""Repeated patients of Task01: the table, the plot and the time, from a folder of its masks.

    python -m benchmarks.twins labelsTr/ --table task01_subjects.csv --plot twins.png

Prints the numbers that `docs/twins.md` gives, and keeps them in `results/`.
"""

import argparse
import json
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

import bratsprep
from benchmarks.machine import describe
from bratsprep.repeats.search import CERTAIN, LIKELY, known_twins
from bratstrain.data.splits import FOLDS, NNUNET_SEED, kfold

RESULTS = Path(__file__).parent / "results"
ALONE = range(295, 383)
"""Numbers of cases that are known not to repeat each other."""
SERIAL = range(33, 275)
"""Numbers of cases of a release in which scans of one person stand side by side."""
NEAR = 8
"""Numbers so far apart at most count as side by side."""
EDGES = np.arange(0, 1.0001, 0.025)
BLUE, GREY, INK = "#2f6f9f", "#b9b4aa", "#333333"


def number(case):
    """Number of a case of Task01."""
    return int(case.rpartition("_")[2])


def best_of(found, counts):
    """Best score of each case over the compared pairs that count; 0 where there is none."""
    best = dict.fromkeys([member.case for member in found.members], 0.0)
    for pair in found.compared:
        if counts(pair):
            for case in (pair.first, pair.second):
                best[case] = max(best[case], pair.score)
    return np.array(list(best.values()))


def strangers(pair):
    """Whether two cases are known to be different people, whatever their score."""
    first, second = number(pair.first), number(pair.second)
    if first in ALONE and second in ALONE:
        return True
    return first in SERIAL and second in SERIAL and abs(first - second) > NEAR


def matches(found):
    """Best match of each case with anybody, with another person, and with a known stranger."""
    subject = {member.case: member.subject for member in found.members}
    return (
        best_of(found, lambda pair: True),
        best_of(found, lambda pair: subject[pair.first] != subject[pair.second]),
        best_of(found, strangers),
    )


def folds(found):
    """Validation cases of each published fold, and how many of them have a twin in training."""
    ids = [member.case for member in found.members]
    every = {member.case: member.subject for member in found.members}
    partner = {}
    for pair in found.pairs:  # serial scans left out
        if not {number(pair.first), number(pair.second)} <= set(SERIAL):
            partner.setdefault(pair.first, set()).add(pair.second)
            partner.setdefault(pair.second, set()).add(pair.first)
    rows = []
    for chosen in kfold(len(ids), FOLDS, NNUNET_SEED):
        validation = [ids[i] for i in chosen]
        train = sorted(set(ids) - set(validation))
        twins = known_twins(every, train, validation)
        again = [case for case in validation if partner.get(case, set()) & set(train)]
        rows.append({"cases": len(validation), "twins": len(twins), "redrawn": len(again)})
    return rows


def numbers(found, seconds):
    """All that the page says."""
    best, second, strange = matches(found)
    sizes = Counter(Counter(member.subject for member in found.members).values())
    serial = [p for p in found.pairs if {number(p.first), number(p.second)} <= set(SERIAL)]
    levels = [0.0, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01]
    return {
        "seconds": round(seconds, 1),
        "cases": len(found.members),
        "candidates": len(found.compared),
        "pairs": dict(Counter(pair.certainty for pair in found.pairs)),
        "identical masks": sum(pair.score > 0.999 for pair in found.pairs),
        "people": len({member.subject for member in found.members}),
        "scans of one person": dict(sorted(sizes.items())),
        "pairs within 33-274": len(serial),
        "of those side by side": sum(
            abs(number(p.first) - number(p.second)) <= NEAR for p in serial
        ),
        "highest with another person": round(float(second.max()), 3),
        "highest among strangers": round(float(strange.max()), 3),
        "cases by score: best, best with another person": {
            f"{low:.2f} to {high:.2f}": [int(((row >= low) & (row < high)).sum())
                                         for row in (best, second)]
            for low, high in pairwise(levels)
        },
        "folds": folds(found),
    }  # fmt: skip


def draw(found, path):
    """Histograms one above the other: matches with anybody, with another person, with strangers."""
    mpl.use("Agg")
    figure, axes = plt.subplots(3, 1, figsize=(8, 6), sharex=True, layout="constrained")
    titles = (
        "best match of each case",
        "best match with a case of another group",
        "best match with a known stranger",
    )
    for axis, best, title in zip(axes, matches(found), titles, strict=True):
        shown = best[best > 0]
        _, _, bars = axis.hist(shown, EDGES, color=GREY, edgecolor="white", linewidth=0.6)
        for bar in bars:
            bar.set_facecolor(BLUE if bar.get_x() > LIKELY["masks"] - 0.01 else GREY)
        axis.set_title(f"{title}: {len(shown)} cases", loc="left", fontsize=10, color=INK)
        axis.spines[["top", "right"]].set_visible(False)
        for level in (LIKELY["masks"], CERTAIN["masks"]):
            axis.axvline(level, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    for word, levels, height in (("likely", LIKELY, 0.85), ("certain", CERTAIN, 0.6)):
        place = (levels["masks"], height)
        axes[2].annotate(
            f" {word}", place, xycoords=("data", "axes fraction"), fontsize=9, color=INK
        )
    axes[1].set_ylabel("cases", color=INK)
    axes[2].set_xlabel("agreement of two masks in their fine structure", color=INK)
    axes[2].set_xlim(0, 1.0001)
    figure.savefig(path, dpi=120)


def main():
    """Search, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("masks", type=Path, help="folder of the 484 masks, labelsTr of Task01")
    parser.add_argument("--table", type=Path, help="CSV to write")
    parser.add_argument("--plot", type=Path, help="PNG to write")
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    started = time.perf_counter()
    found = bratsprep.twins(asked.masks, workers=asked.workers)
    facts = numbers(found, time.perf_counter() - started)
    if asked.table:
        found.write(asked.table)
    if asked.plot:
        draw(found, asked.plot)
    print(json.dumps(facts, indent=1))
    RESULTS.mkdir(exist_ok=True)
    kept = {**describe(), "workers": asked.workers, **facts}
    (RESULTS / "twins.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
