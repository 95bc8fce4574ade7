"""Evaluations as pages read them: the JSON of a stored one, or of one that is made now.

An evaluation in the run folder is reused where weights, split, settings, software, scans and
`EVALUATION_VERSION` are those that it was made from: its JSON holds their digest.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import ClassSet
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratstrain.apply_config import ApplyConfig, Part, ReportConfig
from bratstrain.evaluation.evaluator import INPUTS, EvaluationJob, evaluate_opened
from bratstrain.evaluation.scorer import Watch
from bratstrain.evaluation.tables import EVERYTHING, ODD, UNCERTAINTY, to_json
from bratstrain.runs.files import read_json
from bratstrain.scoring.metric_registry import HEADLINE


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores of one run over some cases."""

    run: Path
    record: Mapping[str, Any]
    """As `bratstrain.evaluation.tables.to_json` gives it."""

    @property
    def convention(self) -> str:
        """Convention of the headline."""
        return str(self.record["headline"]["convention"])

    @property
    def title(self) -> str:
        """Which cases and planes, and in which space."""
        n = len(self.cases)
        cases = f"{n} case{'' if n == 1 else 's'}"
        return f"{self.record['cases']}: {cases}, {self.record['planes']}"

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids, in order."""
        return tuple(dict.fromkeys(row["case"] for row in self.record["per_case"]))

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Why a case could not be scored, by id."""
        reasons: Mapping[str, str] = self.record["set_aside"]
        return reasons

    @property
    def notes(self) -> list[str]:
        """Caveats of the scores, the cases that were set aside among them."""
        aside = [f"set aside: {case}: {reason}" for case, reason in self.set_aside.items()]
        return [*map(str, self.record["notes"]), *aside]

    @property
    def classes(self) -> ClassSet:
        """Of the labels."""
        return ClassSet.from_json(json.dumps(self.record["classes"]))

    @property
    def order(self) -> tuple[str, ...]:
        """Rows of every table: means first, then classes and regions."""
        return (*self.classes.means, *self.classes.parts)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of the images."""
        return tuple(self.record["about"]["modalities"])

    @property
    def uncertainty(self) -> NDArray[np.float64]:
        """(cases,) float64: entropy over the predicted tumour; nan where nothing is predicted."""
        found = self.record.get(UNCERTAINTY) or {}
        return np.array([found.get(case) for case in self.cases], np.float64)

    @property
    def odd_images(self) -> Mapping[str, Sequence[str]]:
        """What is unusual about the images, by case."""
        notes: Mapping[str, Sequence[str]] = self.record.get(ODD) or {}
        return notes

    def by_case(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Values of each case under the headline's convention, by case, then by part."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {case: {} for case in self.cases}
        for row in self.record["per_case"]:
            if row["convention"] == self.convention:
                found[row["case"]][row["part"]] = row
        return found

    def volumes_ml(self, part: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(cases,) float64 each, in order: true and predicted volume of a class or region, ml."""
        found = {
            row["case"]: (row["truth_mm3"], row["predicted_mm3"])
            for row in self.record["per_case"]
            if row["convention"] == self.convention and row["part"] == part
        }
        true, predicted = np.array([found[case] for case in self.cases], np.float64).T / 1000
        return true, predicted

    def rows(self, metric: str = HEADLINE, table: str = "rows") -> dict[str, Mapping[str, Any]]:
        """Rows of the table of one metric under the headline's convention, by part."""
        return {
            row["part"]: row
            for row in self.record.get(table) or ()
            if row["convention"] == self.convention and row["metric"] == metric
        }

    def values(self, metric: str, part: str) -> NDArray[np.float64]:
        """Value of each case, in order; nan where the convention leaves it out.

        Args:
            metric: one of `bratstrain.scoring.metric_registry.METRICS`.
            part: a class or region; or `mean of classes` or `mean of regions`, a case's mean over
                those that are scored.
        """
        by_case = {
            (row["case"], row["part"]): math.nan if row[metric] is None else float(row[metric])
            for row in self.record["per_case"]
            if row["convention"] == self.convention
        }
        parts = self.classes.means.get(part, (part,))
        table = np.array([[by_case[case, name] for name in parts] for case in self.cases])
        scored = ~np.isnan(table)
        counts = scored.sum(axis=1)
        sums = np.where(scored, table, 0.0).sum(axis=1)
        return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)

    def confusion(self) -> NDArray[np.int64]:
        """(cases, c, c) int64 voxels: truth downwards, predicted to the right."""
        return np.array([self.record["confusion"][case] for case in self.cases], np.int64)


def evaluation_of(
    run: Path,
    where: SliceFile | Source,
    part: Part,
    apply: ApplyConfig,
    *,
    config: ReportConfig | None = None,
    progress: bool = False,
    watch: Watch | None = None,
) -> Evaluation:
    """Return the evaluation of a run: a stored one of the same inputs, or a new one.

    Args:
        run: run folder.
        where: slice file or raw cases, open.
        part: `validation`, `test`, `train` or `all`.
        apply: how the networks are applied.
        config: which cases, and how faulty ones are treated; None takes all, and stops at the first
            faulty one.
        progress: show a bar while a new one is made.
        watch: receives each case of a new one with its images and scores.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
    """
    config = config or ReportConfig()
    job = EvaluationJob(run, part, apply, config)
    folder = job.folder(where)
    if is_stored(folder, job.inputs(where)):
        stored = Evaluation(run, read_json(folder / EVERYTHING))
        if config.skip or not stored.set_aside:
            return stored
    report = evaluate_opened(job, where, progress=progress, watch=watch)
    return Evaluation(run, json.loads(json.dumps(to_json(report))))


def is_stored(folder: Path, digest: str) -> bool:
    """Whether a folder holds the evaluation that follows from the inputs of a digest."""
    if not (folder / EVERYTHING).is_file():
        return False
    record = read_json(folder / EVERYTHING)
    return record.get("about", {}).get(INPUTS) == digest and UNCERTAINTY in record
