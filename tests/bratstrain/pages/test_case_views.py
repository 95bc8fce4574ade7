"""A shown case is read once, and each run predicts it once."""

from collections import Counter

import pytest

import bratstrain
from bratsprep.sources.source import Source
from bratstrain.inference import segment as segment_module
from bratstrain.pages.compare import compare
from bratstrain.pages.report import report
from tests.helpers import pageruns, runs

SHOWN = pageruns.SPLIT.validation
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    pageruns.write_cases(folder / "raw")
    return folder


@pytest.fixture
def counts(monkeypatch):
    """Counts reads of files and planes given to networks; both go through as they are."""
    counted = {"reads": Counter(), "planes": Counter()}
    read_into, probabilities = Source.read_into, segment_module.probabilities

    def counting_read(source, name, view):
        counted["reads"][name] += 1
        read_into(source, name, view)

    def counting_probabilities(fitted, image, tta):
        counted["planes"][fitted.name] += len(image)
        return probabilities(fitted, image, tta)

    monkeypatch.setattr(Source, "read_into", counting_read)
    monkeypatch.setattr(segment_module, "probabilities", counting_probabilities)
    return counted


def reads_of(counts, case):
    """How often each image of a case was read."""
    return {n for name, n in counts["reads"].items() if case in name and "seg" not in name}


def n_planes(place):
    """Planes with brain of the validation cases."""
    heads = (runs.axial(place / "raw" / case / f"{case}_flair.nii.gz") for case in SHOWN)
    return sum(int((head != 0).any(axis=(1, 2)).sum()) for head in heads)


def test_new_report_reads_and_predicts_every_case_once(place, counts):
    run = pageruns.write_run(place / "new")
    report(run, raw=place / "raw")
    assert [reads_of(counts, case) for case in SHOWN] == [{1}, {1}]
    assert counts["planes"] == {"new": n_planes(place)}


def test_report_of_a_stored_evaluation_reads_and_predicts_the_shown_cases_once(place, counts):
    run = pageruns.write_run(place / "stored")
    bratstrain.evaluate(run, raw=place / "raw")
    counts["reads"].clear(), counts["planes"].clear()
    report(run, raw=place / "raw")
    assert [reads_of(counts, case) for case in SHOWN] == [{1}, {1}]
    assert counts["planes"] == {"stored": n_planes(place)}


def test_comparison_of_stored_evaluations_reads_once_for_all_runs(place, counts, tmp_path):
    folders = [pageruns.write_run(place / name, seed=i) for i, name in enumerate(("a", "b", "c"))]
    compare(folders, raw=place / "raw")
    counts["reads"].clear(), counts["planes"].clear()
    compare(folders, raw=place / "raw", out=tmp_path / "page.html")
    assert [reads_of(counts, case) for case in SHOWN] == [{1}, {1}]
    assert counts["planes"] == dict.fromkeys(("a", "b", "c"), n_planes(place))


def test_new_comparison_predicts_every_case_once_by_each_run(place, counts, tmp_path):
    folders = [pageruns.write_run(place / name, seed=i) for i, name in enumerate(("d", "e"))]
    compare(folders, raw=place / "raw", out=tmp_path / "page.html")
    assert counts["planes"] == dict.fromkeys(("d", "e"), n_planes(place))
    assert [reads_of(counts, case) for case in SHOWN] == [{2}, {2}]  # one evaluation for each run
