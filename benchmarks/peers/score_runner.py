"""What the scoring runners have in common: cases to score, a watch, and a line of JSON.

`python -m benchmarks.peers.score_NAME MEASURE FOLDER --cases N`: every case is one .npz file with
`truth` and `predicted`, (z, y, x) uint8 labels of 1 mm. Loading and warming up do not count.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
SPACING = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """What is scored, in the form that a way likes best; making it does not count."""

    truth: np.ndarray
    """(z, y, x) uint8 labels."""
    predicted: np.ndarray
    """(z, y, x) uint8 labels."""
    masks: dict[str, tuple[np.ndarray, np.ndarray]]
    """(z, y, x) bool of truth and prediction, by region."""


Scorer = Callable[[Case], dict[str, list[float]]]
"""A case -> numbers of each region."""


def case_of(truth: np.ndarray, predicted: np.ndarray) -> Case:
    """Make the masks of a case."""
    masks = {
        name: (np.isin(truth, labels), np.isin(predicted, labels))
        for name, labels in REGIONS.items()
    }
    return Case(truth, predicted, masks)


def each_region(score: Callable[[np.ndarray, np.ndarray], list[float]]) -> Scorer:
    """Make a scorer of cases from a scorer of two masks."""
    return lambda case: {region: score(*masks) for region, masks in case.masks.items()}


def run(ways: Mapping[str, Scorer]) -> None:
    """Score the cases by the way that the command line names, and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("measure", choices=tuple(ways))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, required=True)
    args = parser.parse_args()
    score = ways[args.measure]
    small = np.zeros((8, 8, 8), np.uint8)
    small[2:5, 2:5, 2:5] = 3
    started = time.perf_counter()
    score(case_of(small, np.roll(small, 1, 0)))
    warm_seconds = time.perf_counter() - started
    seconds, values = 0.0, []
    for path in sorted(args.folder.glob("*.npz"))[: args.cases]:
        with np.load(path) as stored:
            case = case_of(stored["truth"], stored["predicted"])
        started = time.perf_counter()
        values.append(score(case))
        seconds += time.perf_counter() - started
    line = {"seconds": seconds, "cases": len(values), "warm_seconds": warm_seconds}
    print(json.dumps(line | {"values": values}), flush=True)
