"""Score the pairs of a set of cases on threads, and write the tables."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bratsprep.labels import CLASSES
from bratsprep.system.threads import cores
from bratsprep.volumes.warm import warm
from bratstrain.apply_config import ReportConfig
from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.evaluation.folder_pairs import Pair, plane_rows
from bratstrain.evaluation.folder_selection import Aim
from bratstrain.evaluation.tables import Picture, Report, write_report
from bratstrain.inference.nifti_out import make_folder
from bratstrain.inference.small_components import Tuning, write_cleanup
from bratstrain.runs.files import versions
from bratstrain.scoring import metrics
from bratstrain.scoring.aggregate import Table, summarise
from bratstrain.scoring.metrics import CaseScores, score_case


@dataclass(slots=True)
class Tally:
    """What is gathered while the cases go by."""

    config: ReportConfig
    scores: list[CaseScores] = field(default_factory=list)
    planes: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tuning: Tuning = field(default_factory=Tuning)
    lost: int = 0
    """Tumour voxels that the network was not shown."""

    def note(self, pair: Pair) -> None:
        """Take from a case all but its scores."""
        self.lost += pair.lost
        if self.config.planes:
            self.planes += plane_rows(pair)
        if self.config.pictures and pair.picture is not None:
            self.pictures.append(pair.picture)
        if self.config.tune_cleanup:
            self.tuning.add(pair.case, pair.truth, pair.predicted)


def conclude(
    run: Path | None,
    aim: Aim,
    config: ReportConfig,
    named: tuple[str, dict[str, Any]],
    folder: Path,
    *,
    progress: bool,
) -> Report:
    """Score the cases, tune where that is wanted, and write the tables.

    Args:
        run: run folder; None where nothing is to be tuned.
        aim: the cases.
        config: what to look at.
        named: name of the evaluation, and the facts for its JSON.
        folder: for the tables; made where it is missing.
        progress: show a bar.
    """
    make_folder(folder)
    tally = Tally(config)
    score_pairs(aim, tally, progress=progress)
    name, about = named
    notes = list(aim.notes)
    if tally.lost:
        notes.append(f"{tally.lost} tumour voxels lie outside the crop {aim.space}")
    if run is not None and config.tune_cleanup:
        cleanup = tally.tuning.best(f"{aim.cases}; {aim.planes}")
        write_cleanup(run, cleanup)
        sizes = ", ".join(f"{part} {cleanup.least_voxels[part]}" for part in CLASSES[1:])
        notes.append(
            f"clean-up tuned here and written to {run.name}: components of fewer voxels than "
            f"{sizes} go; mean of classes {cleanup.before:.4f} becomes {cleanup.after:.4f} on "
            "these very cases, and no number in this table is with it"
        )
    repeats = repeats_of(aim, tally.scores)
    table, second = summarise_twice(aim, tally.scores, repeats, config.conventions)
    report = Report(
        name, tuple(notes), about | {"versions": versions()}, tuple(tally.scores), table,
        tuple(tally.planes), tuple(tally.pictures), repeats, second,
    )  # fmt: skip
    write_report(report, folder)
    return report


def repeats_of(aim: Aim, scores: Sequence[CaseScores]) -> Twins | None:
    """Which of the cases have a twin in training; None where there was no training."""
    if aim.training is None:
        return None
    voxels = {case.case: case.confusion.sum(axis=1) for case in scores}
    return aim.training.twins(voxels, aim.noun)


def summarise_twice(
    aim: Aim, scores: Sequence[CaseScores], repeats: Twins | None, conventions: Sequence[str]
) -> tuple[Table, Table | None]:
    """Average over all cases, and over those without a twin in training where those are fewer."""
    table = summarise(scores, cases=aim.cases, planes=aim.planes, conventions=conventions)
    kept = [case for case in scores if repeats is None or case.case not in repeats.cases]
    if len(kept) in (0, len(scores)):
        return table, None
    name = f"{aim.cases}, {WITHOUT}"
    return table, summarise(kept, cases=name, planes=aim.planes, conventions=conventions)


def score_pairs(aim: Aim, tally: Tally, *, progress: bool) -> None:
    """Score case after case on threads, while the next is being predicted."""
    warm()
    metrics.warm()
    workers = cores()
    off = None if progress else True
    waiting: deque[Future[CaseScores]] = deque()
    with (
        ThreadPoolExecutor(workers, "score") as pool,
        closing(aim.pairs) as pairs,
        tqdm(total=len(aim.ids), desc="evaluate", unit="case", disable=off) as bar,
    ):
        for pair in pairs:
            tally.note(pair)
            waiting.append(pool.submit(_score, pair))
            if len(waiting) > workers:
                tally.scores.append(waiting.popleft().result())
            bar.update()
        tally.scores += [each.result() for each in waiting]


def _score(pair: Pair) -> CaseScores:
    """Score one case."""
    return score_case(pair.truth, pair.predicted, pair.spacing, case=pair.case)
