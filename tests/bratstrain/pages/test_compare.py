"""`bratstrain compare`, from run folders to the page."""

import csv
import json
import re
import zipfile

import pytest
from click.testing import CliRunner

from bratsprep.errors import BratsError
from bratstrain.commands.cli import main
from bratstrain.pages import compare_sections
from bratstrain.pages.compare import compare
from tests.helpers import pageruns
from tests.helpers.pagecontent import content_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    pageruns.write_cases(folder / "raw")
    pageruns.write_run(folder / "one")
    pageruns.write_run(folder / "two", seed=3)
    return folder


def test_comparison_without_a_page_writes_none(place):
    made = compare([place / "one", place / "two"], raw=place / "raw")
    assert made.names == ("one", "two")
    assert made.pages == ()
    assert {row.n_cases for row in made.table} == {2}


def test_run_against_its_copy_is_no_different(place):
    pageruns.write_run(place / "copy")
    made = compare([place / "one", place / "copy"], raw=place / "raw")
    assert {(row.mean, row.p, row.n_better) for row in made.table} == {(0.0, 1.0, 0)}
    assert {each.rank for each in made.standings} == {1.5}


def test_page_shows_each_run_and_the_numbers_lie_beside(place, tmp_path):
    made = compare([place / "one", place / "two"], raw=place / "raw", out=tmp_path / "c.html")
    assert [path.name for path in made.pages] == ["c.html", "c.json", "c.csv"]
    text = made.pages[0].read_text()
    content = content_of(text)
    assert content["runs"] == ["one", "two"]
    for view in content["viewers"]["cases"]:
        assert len(view["predicted"]) == 2
        assert len(view["areas"]) == 3
    assert json.loads(made.pages[1].read_text())["ids"] == list(pageruns.CASES[:2])
    with made.pages[2].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(made.table)
    assert {"mean", "low", "high", "p", "p_holm"} <= set(rows[0])


def written_ns(folder):
    """Times of change of the evaluations of a run."""
    return [path.stat().st_mtime_ns for path in folder.glob("evaluation-*/evaluation.json")]


def test_second_comparison_evaluates_nothing(place):
    compare([place / "one", place / "two"], raw=place / "raw")
    before = [written_ns(place / name) for name in ("one", "two")]
    compare([place / "two", place / "one"], raw=place / "raw")
    assert [written_ns(place / name) for name in ("one", "two")] == before
    assert all(before)


def test_page_is_the_same_from_new_and_from_stored_evaluations(place, tmp_path):
    for name in ("three", "four"):
        pageruns.write_run(place / name, seed=len(name))
    runs = [place / name for name in ("three", "four")]
    first, again = (
        compare(runs, raw=place / "raw", out=tmp_path / name / "c.html").pages[0].read_text()
        for name in ("a", "b")
    )
    assert first == again


def test_cases_may_lie_in_an_archive(place, tmp_path):
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for path in sorted((place / "raw").rglob("*.nii.gz")):
            archive.write(path, path.relative_to(place / "raw"))
    made = compare([place / "one", place / "two"], raw=tmp_path / "raw.zip")
    plain = compare([place / "one", place / "two"], raw=place / "raw")
    assert made.table == plain.table


def test_cleanup_of_each_run_is_part_of_what_is_compared(place):
    with pytest.raises(BratsError, match=r"cleanup"):
        compare([place / "one", place / "two"], raw=place / "raw", cleanup=True)


@pytest.mark.parametrize("names", [[], ["one"], ["one", "one"]])
def test_two_runs_are_needed(place, names):
    with pytest.raises(ValueError, match="at least two runs"):
        compare([place / name for name in names], raw=place / "raw")


def test_command_prints_the_table(place, tmp_path):
    arguments = ["compare", place / "one", place / "two", "--raw", place / "raw",
                 "-o", tmp_path / "c.html"]  # fmt: skip
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    assert re.search(r"\none - two +[+-]0\.\d{3}", done.stdout)
    assert "c.json" in done.stderr


def test_command_ends_with_2_for_one_run(place):
    done = CliRunner().invoke(main, ["compare", str(place / "one"), "--raw", str(place / "raw")])
    assert done.exit_code == 2


def test_explanations_name_their_sources():
    said = " ".join(compare_sections.EXPLAINED.values())
    for source in ("Bakas", "Student", "Wilcoxon", "Holm"):
        assert source in said
