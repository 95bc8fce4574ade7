"""The page of a study: its runs compared on the held-out cases."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

from bratstrain.apply_config import ApplyConfig
from bratstrain.evaluation.tables import EVERYTHING
from bratstrain.pages.compare import compare
from bratstrain.runs.files import read_json
from bratstrain.studies.outcomes import Study

PAGE: Final = "compare.html"


def write_page(
    study: Study, folder: Path, raw: Path, apply: ApplyConfig, *, progress: bool = False
) -> list[Path]:
    """Write the page of `bratstrain compare`, unless an up-to-date one exists.

    Args:
        study: finished.
        folder: of the study.
        raw: its raw cases.
        apply: how the networks are applied.
        progress: show bars, as `bratstrain.compare` does.

    Returns:
        The page; nothing where there is one experiment only.

    Raises:
        BratsError: the runs cannot be compared, or the page cannot be written.
    """
    runs, page = telling(study), folder / PAGE
    if len(runs) < 2:
        return []
    if not is_up_to_date(page, runs):
        compare(runs, raw=raw, split="test", out=page, progress=progress, **asdict(apply))
    return [page]


def telling(study: Study) -> list[Path]:
    """Run folders, the most informative first, since a page shows pictures of a few only.

    The baseline, the best by held-out volume Dice, those that leak, then the others in order.
    """
    best = max(study.outcomes, key=lambda outcome: outcome.honest.mean)
    first = [study.named(study.plan.baseline), best]
    leaks = [outcome for outcome in study.outcomes if outcome.facts.leaks]
    ordered = (*first, *leaks, *study.outcomes)
    return list(dict.fromkeys(outcome.held_out.run for outcome in ordered if outcome is not None))


def is_up_to_date(page: Path, runs: list[Path]) -> bool:
    """Whether a page is of these runs, and later than every evaluation of theirs."""
    numbers = page.with_suffix(".json")
    if not page.is_file() or not numbers.is_file():
        return False
    names = [record["run"] for record in read_json(numbers)["runs"]]
    written_ns = numbers.stat().st_mtime_ns
    times_ns = [
        path.stat().st_mtime_ns for run in runs for path in run.glob(f"evaluation-*/{EVERYTHING}")
    ]
    return names == [run.name for run in runs] and all(time < written_ns for time in times_ns)
