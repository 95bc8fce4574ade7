"""The page of a study: its runs held against each other on the held-out cases."""

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
    """Write the page that `bratstrain compare` makes, unless it is there already.

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
    """Run folders, those that tell most first, since a page shows pictures of a few only.

    The baseline, the best by the honest score, those that leak, then the others in their order.
    """
    best = max(study.outcomes, key=lambda each: each.honest.mean)
    first = [study.named(study.plan.baseline), best]
    leaks = [each for each in study.outcomes if each.facts.leaks]
    ordered = [each for each in (*first, *leaks, *study.outcomes) if each is not None]
    return list(dict.fromkeys(each.held_out.run for each in ordered))


def is_up_to_date(page: Path, runs: list[Path]) -> bool:
    """Whether a page is of these runs, and later than every evaluation of theirs."""
    numbers = page.with_suffix(".json")
    if not page.is_file() or not numbers.is_file():
        return False
    named = [each["run"] for each in read_json(numbers)["runs"]]
    written_ns = numbers.stat().st_mtime_ns
    times_ns = [
        path.stat().st_mtime_ns for run in runs for path in run.glob(f"evaluation-*/{EVERYTHING}")
    ]
    return named == [run.name for run in runs] and all(time < written_ns for time in times_ns)
