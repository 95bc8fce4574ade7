"""Score the pairs of a set of cases on threads, and write the tables."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.errors import BratsError
from bratsprep.system.faulty_cases import SetAside
from bratsprep.system.threads import cores
from bratstrain.apply_config import ReportConfig
from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.evaluation.folder_pairs import plane_rows
from bratstrain.evaluation.folder_selection import CaseSelection
from bratstrain.evaluation.image_facts import ImageFacts, odd_images
from bratstrain.evaluation.label_checks import class_order_note, single_class_note
from bratstrain.evaluation.label_pair import LabelPair
from bratstrain.evaluation.tables import Picture, Report, write_report
from bratstrain.evaluation.uncertainty import tumour_uncertainty
from bratstrain.inference.nifti_out import make_folder
from bratstrain.inference.small_components import Tuning, write_cleanup
from bratstrain.runs.files import versions
from bratstrain.scoring import metrics
from bratstrain.scoring.aggregate import Table, summarise
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metric_registry import metrics_named
from bratstrain.scoring.metrics import CaseScores, Grid, score_case
from bratstrain.scoring.surface_scores import SURFACE_TOLERANCES_MM

Watch: TypeAlias = Callable[[LabelPair, CaseScores], None]
"""Receives each case, its images included, with its scores while it is in memory; several threads
call it at once."""


@dataclass(slots=True)
class Tally:
    """What is collected while the cases are scored."""

    config: ReportConfig
    scores: list[CaseScores] = field(default_factory=list)
    planes: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tuning: Tuning = field(default_factory=Tuning)
    prints: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    """(1 + m, z, y, x) fingerprint of the images of each case that has one, by id."""
    uncertainty: dict[str, float | None] = field(default_factory=dict)
    """As `tumour_uncertainty` gives it, of each case that a run predicted, by id."""
    facts: dict[str, ImageFacts] = field(default_factory=dict)
    """Of the images of such a case, by id."""
    lost: int = 0
    """Tumour voxels outside the crop, which the network did not receive."""
    set_aside: list[SetAside] = field(default_factory=list)
    """Cases at fault."""

    def note(self, pair: LabelPair) -> None:
        """Take from a case all but its scores."""
        self.lost += pair.lost
        if pair.fingerprint is not None:
            self.prints[pair.case] = pair.fingerprint
        if pair.entropy is not None:
            self.uncertainty[pair.case] = tumour_uncertainty(pair.entropy, pair.predicted)
        if pair.facts is not None:
            self.facts[pair.case] = pair.facts
        if self.config.planes:
            self.planes += plane_rows(pair)
        if self.config.pictures and pair.picture is not None:
            self.pictures.append(pair.picture)
        if self.config.tune_cleanup:
            voxel_mm3 = math.prod(pair.spacing)
            self.tuning.add(pair.case, pair.truth, pair.predicted, pair.classes, voxel_mm3)


@dataclass(frozen=True, slots=True)
class Destination:
    """Name, facts and folder of an evaluation."""

    name: str
    about: Mapping[str, Any]
    """Facts for the JSON."""
    folder: Path
    """For the tables; made where it is missing."""
    run: Path | None = None
    """Run folder that a tuned clean-up is written to; None where nothing is tuned."""


def conclude(
    selection: CaseSelection,
    report_config: ReportConfig,
    destination: Destination,
    *,
    progress: bool,
    watch: Watch | None = None,
) -> Report:
    """Score the cases, tune the clean-up where that is requested, and write the tables.

    Args:
        selection: the cases.
        report_config: which tables and pictures are made.
        destination: name, facts and folder of the evaluation.
        progress: show a bar.
        watch: receives each case with its scores.

    Raises:
        BratsError: a case is at fault, or a file cannot be written.
        ValueError: there is no metric of a name.
    """
    metrics_named(report_config.metrics, report_config.tolerances)
    make_folder(destination.folder)
    tally = Tally(report_config)
    score_pairs(selection, tally, progress=progress, watch=watch)
    report = report_of(selection, tally, destination)
    write_report(report, destination.folder)
    return report


def report_of(selection: CaseSelection, tally: Tally, destination: Destination) -> Report:
    """Summarise the scored cases; a tuned clean-up is written into the run folder.

    Raises:
        BratsError: no case could be scored, or the clean-up cannot be written.
    """
    if not tally.scores:
        raise BratsError(
            f"{selection.cases}: none of the {len(selection.ids)} cases can be scored; "
            f"{tally.set_aside[0].reason}"
        )
    notes = notes_of(selection, tally, destination.run)
    repeats = repeats_of(selection, tally)
    table, second = summarise_twice(selection, tally.scores, repeats, tally.config.conventions)
    return Report(
        name=destination.name,
        notes=notes,
        about={**destination.about, "versions": versions()},
        scores=tuple(tally.scores),
        table=table,
        planes=tuple(tally.planes),
        pictures=tuple(tally.pictures),
        repeats=repeats,
        table_without_twins=second,
        shown=tuple(metrics_named(tally.config.metrics, tally.config.tolerances)),
        folder=destination.folder,
        set_aside={fault.id: fault.reason for fault in tally.set_aside},
        uncertainty=dict(tally.uncertainty),
        odd_images=odd_images(tally.facts, destination.about.get("modalities", ())),
    )


def notes_of(selection: CaseSelection, tally: Tally, run: Path | None) -> tuple[str, ...]:
    """Notes of an evaluation; tunes the clean-up where that is requested.

    Args:
        selection: the cases.
        tally: of the scored cases.
        run: run folder that a tuned clean-up is written to; None for label files.

    Raises:
        BratsError: the clean-up cannot be written.
    """
    notes = list(selection.notes)
    if tally.lost:
        notes.append(f"{tally.lost} tumour voxels lie outside the crop {selection.space}")
    if run is not None and tally.config.tune_cleanup:
        notes.append(tune_cleanup(run, selection, tally))
    if run is None:
        scores = tally.scores
        notes += filter(None, (class_order_note(scores), single_class_note(scores)))
    return tuple(notes)


def tune_cleanup(run: Path, selection: CaseSelection, tally: Tally) -> str:
    """Write the best sizes of the clean-up into a run folder, and describe them in a note."""
    cleanup = tally.tuning.best(f"{selection.cases}; {selection.planes}")
    write_cleanup(run, cleanup)
    sizes = ", ".join(f"{part} {least}" for part, least in cleanup.least_mm3.items())
    totals = "".join(
        f", and all {part} where a case has less than {least} mm3 of it becomes the class around it"
        for part, least in cleanup.least_total_mm3.items()
    )
    return (
        f"clean-up tuned here and written to {run.name}: components of less than "
        f"{sizes} mm3 go{totals}; mean of classes {cleanup.before:.4f} becomes "
        f"{cleanup.after:.4f} on these very cases, and no number in this table is with it"
    )


def repeats_of(selection: CaseSelection, tally: Tally) -> Twins | None:
    """Which of the cases have a twin in training; None where there was no training."""
    if selection.training is None:
        return None
    voxels = {case.case: case.confusion.sum(axis=1) for case in tally.scores}
    return selection.training.twins(voxels, selection.noun, tally.prints)


def summarise_twice(
    selection: CaseSelection,
    scores: Sequence[CaseScores],
    repeats: Twins | None,
    conventions: Sequence[str],
) -> tuple[Table, Table | None]:
    """Average over all cases, and over those without a twin in training where those are fewer."""
    table = summarise(
        scores, cases=selection.cases, planes=selection.planes, conventions=conventions
    )
    kept = [case for case in scores if repeats is None or case.case not in repeats.cases]
    if len(kept) in (0, len(scores)):
        return table, None
    name = f"{selection.cases}, {WITHOUT}"
    return table, summarise(kept, cases=name, planes=selection.planes, conventions=conventions)


def score_pairs(
    selection: CaseSelection, tally: Tally, *, progress: bool, watch: Watch | None = None
) -> None:
    """Score case after case on threads, while the next is being predicted."""
    metrics.warm()
    conventions = (CONVENTIONS[name] for name in tally.config.conventions)
    rules = tuple(dict.fromkeys(rule.rules for rule in conventions if rule.rules))
    tolerances = tuple(
        dict.fromkeys((*SURFACE_TOLERANCES_MM, *map(float, tally.config.tolerances)))
    )
    workers = cores()
    off = None if progress else True
    waiting: deque[Future[CaseScores]] = deque()
    with (
        ThreadPoolExecutor(workers, "score") as pool,
        closing(selection.pairs) as pairs,
        tqdm(total=len(selection.ids), desc="evaluate", unit="case", disable=off) as bar,
    ):
        tally.set_aside += selection.set_aside
        for pair in pairs:
            if isinstance(pair, SetAside):
                tally.set_aside.append(pair)
                continue
            tally.note(pair)
            waiting.append(pool.submit(_score, pair, rules, tolerances, watch))
            if len(waiting) > workers:
                tally.scores.append(waiting.popleft().result())
            bar.update()
        tally.scores += [score.result() for score in waiting]


def _score(
    pair: LabelPair, rules: Sequence[str], tolerances: Sequence[float], watch: Watch | None
) -> CaseScores:
    """Score one case, its lesions by some rules, and show it to `watch`."""
    scores = score_case(
        pair.truth,
        pair.predicted,
        Grid(pair.spacing, pair.orientation),
        pair.classes,
        case=pair.case,
        tolerances=tolerances,
        lesions=rules,
    ).with_calibration(pair.calibration)
    if watch is not None:
        watch(pair, scores)
    return scores
