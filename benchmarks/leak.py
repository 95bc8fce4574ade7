"""What repeated patients do to the published cross-validations of Task01.

    python -m benchmarks.leak task01_per_case.csv --masks labelsTr/ --plot docs/images/leak.png

The CSV has a row for each case: `case`, `fold`, the voxels of the truth (`voxels_NCR`, ...), and
the volume Dice of each network (`NETWORK_NCR`, ...; empty where neither side has a voxel). Prints
the tables of `docs/leak.md` and keeps their numbers in `results/leak.json`.
"""

import argparse
import csv
import json
import math
from pathlib import Path

import numpy as np

from benchmarks.leak_masks import agreement_of_pairs
from benchmarks.leak_plot import draw
from benchmarks.leak_tables import tables
from bratsprep.config import USUAL_CLASSES
from bratsprep.discovery.subject_tables import task01
from bratstrain.leakage.audit import audit
from bratstrain.leakage.summaries import CrossValidation

RESULTS = Path(__file__).parent / "results"
SOURCE = "automl/AutoNNUNet, commit 7c9d676, BSD-3-Clause: summary.json of each fold"
PARTS = USUAL_CLASSES[1:]


def read_scores(path):
    """Cross-validation of each network of a CSV file, by the name of the network."""
    with path.open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["case"])
    networks = [name.removesuffix("_NCR") for name in rows[0]
                if name.endswith("_NCR") and name != "voxels_NCR"]  # fmt: skip
    cases = tuple(row["case"] for row in rows)
    fold = np.array([int(row["fold"]) for row in rows])
    voxels = np.array([[int(row[f"voxels_{part}"]) for part in PARTS] for row in rows])
    found = {}
    for network in networks:
        texts = [[row[f"{network}_{part}"] for part in PARTS] for row in rows]
        dice = np.array([[float(text) if text else math.nan for text in row] for row in texts])
        found[network] = CrossValidation(path, PARTS, cases, fold, dice, voxels)
    return found


def kept(result):
    """What the results file holds of an audit: everything but the path and the single cases."""
    record = result.to_json()
    return {name: value for name, value in record.items() if name not in ("path", "per_case")}


def main():
    """Compute, draw, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, help="CSV file of the Dice of each case")
    parser.add_argument("--masks", type=Path, help="labelsTr of Task01: agreement of references")
    parser.add_argument("--plot", type=Path, help="PNG to write; needs --masks")
    asked = parser.parse_args()
    if asked.plot and not asked.masks:
        parser.error("--plot needs --masks")
    audits = {name: audit(scores, task01()) for name, scores in read_scores(asked.scores).items()}
    record = {"source": SOURCE, "networks": {name: kept(one) for name, one in audits.items()}}
    if asked.masks:
        agreement = agreement_of_pairs(next(iter(audits.values())), asked.masks)
        record["references"] = {
            name: agreement.compare(one.scores.dice) for name, one in audits.items()
        }
        if asked.plot:
            draw(audits, agreement, asked.plot)
    for name, table in tables(record).items():
        print("\n".join([name, "", *table, ""]))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "leak.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
