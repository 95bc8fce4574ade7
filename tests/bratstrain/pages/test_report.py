"""A run's page: everything is on it, all of it is there, and none of it is made twice."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import bratsprep
import bratstrain
from bratstrain.apply_config import ApplyConfig, ScoreConfig, ShownConfig
from bratstrain.commands.cli import main
from bratstrain.evaluation import cache_key, stored, tables
from bratstrain.evaluation.cache_key import inputs_digest
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.inference.small_components import Cleanup, write_cleanup
from bratstrain.pages import run_sections, score_sections
from bratstrain.pages.case_views import ShownRun, views
from bratstrain.pages.gallery import Gallery
from bratstrain.pages.page_budget import Shown
from bratstrain.pages.report import order, page, places, report, titles
from tests.helpers import niftis, pageruns, runs, scored_runs
from tests.helpers.pagecontent import content_of, opened, planes_of


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return pageruns.write_cases(tmp_path_factory.mktemp("cases") / "raw")


@pytest.fixture
def run(tmp_path):
    return pageruns.write_run(tmp_path / "run")


@pytest.fixture(scope="module")
def text(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("page")
    pageruns.write_run(folder / "run")
    return report(folder / "run", raw=raw).path.read_text()


@pytest.mark.parametrize(
    "said",
    [
        "validation of fold 0, split subject: 2 cases, every plane, original space",
        "best.pt was chosen on these very cases",
        "tumour voxels lie outside the crop",
        "Convention for empty masks: brats",
        "other data, other convention",
        "0.7435",
        "1.5 minutes",
        "1.0% of the time",
        "321 MB",
        "12 MB",
        "torch 2.0",
        "unet, width 4, depth 2",
        "no subject is on two sides",
        "lesion-wise Dice",
        "HD95 (mm)",
        "background : 1",
        "Learning rate",
        pageruns.SPLIT.digest[:16],
        "BraTS2021_00001, BraTS2021_00002",
    ],
)
def test_page_says(text, said):
    assert said in text


def test_page_carries_every_plane_of_the_shown_cases_as_the_files_have_them(text, raw):
    content = content_of(text)
    assert content["runs"] == ["run"]
    shown = content["viewers"]["cases"]
    assert {view["case"] for view in shown} == set(pageruns.CASES[:2])
    for view in shown:
        file = raw / view["case"] / f"{view['case']}_seg.nii.gz"
        truth = np.array([0, 1, 2, 0, 3])[runs.axial(file)]
        assert view["planes"] == list(range(len(truth)))
        assert view["depth"] == len(truth)
        packed = planes_of(opened(view["truth"])[1], len(truth), view["size"], view["columns"])
        found = packed[:, ::-1, ::-1] // view["step"]
        rows = np.flatnonzero(truth.any(axis=(0, 2)))
        held = np.flatnonzero(found.any(axis=(0, 2)))
        assert len(rows) == len(held)
        for z, plane in enumerate(truth):
            counts = [np.bincount(each.ravel(), minlength=4)[1:] for each in (plane, found[z])]
            np.testing.assert_array_equal(*counts)


def view_of(run, case, *, raw=None, data=None, part="all"):
    """View of one case whose evaluation has left nothing."""
    with open_cases(data, raw, ApplyConfig()) as where:
        (view,) = views([ShownRun(run, Gallery())], where, part, ApplyConfig(), [case])
    return view


def test_predictions_and_images_of_a_view_are_those_of_the_files(run, raw):
    view = view_of(run, pageruns.CASES[1], raw=raw)
    folder = raw / view.case
    images = np.stack([
        runs.axial(folder / f"{view.case}_{kind}.nii.gz") for kind in niftis.SUFFIXES
    ])  # fmt: skip
    np.testing.assert_array_equal(view.greys.any(axis=0), images.any(axis=0))
    wanted = runs.chances([runs.network_of()], images).argmax(axis=0)
    np.testing.assert_array_equal(view.predicted[0], wanted)


@pytest.mark.slow
def test_second_page_takes_the_stored_evaluation_and_is_the_same(run, raw):
    first = report(run, raw=raw).path.read_text()
    before = written_ns(run)
    assert report(run, raw=raw).path.read_text() == first
    assert written_ns(run) == before


def written_ns(run):
    """When the evaluations were written."""
    return [path.stat().st_mtime_ns for path in sorted(run.glob("evaluation-*/evaluation.json"))]


def digest(run, raw, part="validation", **settings):
    with open_cases(None, raw, ApplyConfig()) as where:
        return inputs_digest(run, where, part, ApplyConfig(**settings), ScoreConfig())


def test_inputs_have_one_digest(run, raw):
    assert digest(run, raw) == digest(run, raw)


@pytest.mark.parametrize("change", ["weights", "split", "scan", "part", "settings", "cleanup"])
def test_digest_of_the_inputs_sees_a_change(run, tmp_path, change):
    raw = pageruns.write_cases(tmp_path / "raw")
    before, part, settings = digest(run, raw), "validation", {}
    if change == "weights":
        other = pageruns.write_run(tmp_path / "other", seed=5)
        (run / "best.pt").write_bytes((other / "best.pt").read_bytes())
    if change == "split":
        (run / "split.json").write_text((run / "split.json").read_text() + "\n")
    if change == "scan":
        niftis.write_case(raw, pageruns.CASES[0], volumes=niftis.phantom(9))
    if change == "part":
        part = "test"
    if change == "settings":
        settings = {"batch_size": 3}
    if change == "cleanup":
        sizes = {"NCR": 1, "ED": 2, "ET": 3}
        write_cleanup(run, Cleanup(sizes, "cases", ["a"], 0.5, 0.6))
        settings = {"cleanup": True}
    assert digest(run, raw, part, **settings) != before


@pytest.mark.slow
def test_page_takes_what_evaluate_left(run, raw):
    bratstrain.evaluate(run, raw=raw)
    before = written_ns(run)
    report(run, raw=raw)
    assert written_ns(run) == before


@pytest.mark.slow
def test_evaluation_of_some_cases_does_not_stand_for_all(run, raw):
    bratstrain.evaluate(run, raw=raw, cases=(pageruns.CASES[0],))
    (before,) = run.glob("evaluation-*")
    report(run, raw=raw)
    (folder,) = set(run.glob("evaluation-*")) - {before}
    assert not stored.is_stored(before, digest(run, raw))
    assert stored.is_stored(folder, digest(run, raw))


@pytest.mark.slow
def test_evaluation_of_another_version_is_made_anew(run, raw, monkeypatch):
    folder = bratstrain.evaluate(run, raw=raw).folder
    path = folder / "evaluation.json"
    before = path.stat().st_mtime_ns
    report(run, raw=raw)
    assert path.stat().st_mtime_ns == before
    for module in (cache_key, tables):
        monkeypatch.setattr(module, "EVALUATION_VERSION", 0)
    report(run, raw=raw)
    assert path.stat().st_mtime_ns > before
    assert json.loads(path.read_text())["evaluation version"] == 0


@pytest.mark.slow
def test_page_of_a_slice_file_shows_what_it_holds(run, raw, tmp_path):
    data = tmp_path / "small.h5"
    crop = f"{runs.WINDOW[0]}x{runs.WINDOW[1]}"
    bratsprep.build(raw, data, crop=crop, workers=1)
    done = report(run, data=data, split="all", out=tmp_path / "page.html")
    text = done.path.read_text()
    assert "Only planes that the slice file holds can be shown" in text
    file = bratsprep.open(data)
    for view in content_of(text)["viewers"]["cases"]:
        assert view["planes"] == file.volume(view["case"])[2].tolist()
    again = report(run, data=data, split="all", out=tmp_path / "page.html")
    assert again.n_bytes == done.n_bytes


def test_view_of_a_split_of_slices_has_the_planes_of_its_part(tmp_path, raw):
    data = tmp_path / "small.h5"
    crop = f"{runs.WINDOW[0]}x{runs.WINDOW[1]}"
    bratsprep.build(raw, data, crop=crop, workers=1)
    file = bratsprep.open(data)
    split = pageruns.replace(runs.SPLIT, train=(0, 2), validation=(1,), test=(), leaks=True)
    runs.write(tmp_path / "run", split=split, digest=file.digest)
    case = str(file.cases["id"][file.slices["case"][1]])
    view = view_of(tmp_path / "run", case, data=data, part="validation")
    assert view.planes.tolist() == [int(file.slices["z"][1])]
    np.testing.assert_array_equal(view.truth[0].any(), file[1][1].any())


def test_report_needs_slices_or_raw_cases(run):
    with pytest.raises(ValueError, match="slice file, or raw cases"):
        report(run)


def test_command_says_where_the_page_is(run, raw):
    done = CliRunner().invoke(main, ["report", str(run), "--raw", str(raw), "--split", "test"])
    assert done.exit_code == 0, done.output
    assert re.match(rf"{run}/report.html: 0\.\d MB, test of fold 0", done.stdout)


def test_command_ends_with_1_where_there_is_no_run(tmp_path, raw):
    done = CliRunner().invoke(main, ["report", str(tmp_path / "no"), "--raw", str(raw)])
    assert done.exit_code == 1
    assert "no: is no run folder" in done.stderr


def page_of(evaluation):
    """Page of an evaluation made by hand, without pictures."""
    return page(evaluation, Shown((), frozenset(), 0), ShownConfig())


def section_of(text, name):
    """Markup of one section of a page."""
    return text.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_run_of_an_evaluation_may_have_nothing_but_its_settings(tmp_path):
    runs.write(tmp_path / "run")
    evaluation = scored_runs.evaluation(run=tmp_path / "run")
    facts = run_sections.run_facts(tmp_path / "run", evaluation)
    assert facts["software"] == ""
    assert facts["facts"]["finished"].startswith("no")
    assert run_sections.learning(tmp_path / "run") == {"charts": [], "last_validation": None}
    made = page_of(evaluation)
    assert "not recorded" in section_of(made, "run")
    assert "<svg" not in section_of(made, "learning")


def test_curves_of_a_run_that_was_not_validated(tmp_path):
    runs.write(tmp_path / "run")
    lines = [each for each in pageruns.log_lines() if each["kind"] == "train"]
    (tmp_path / "run" / "log.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    made = run_sections.learning(tmp_path / "run")
    assert made["last_validation"] is None
    assert [chart.name for chart in made["charts"]] == ["Training loss", "Learning rate"]
    evaluation = scored_runs.evaluation(run=tmp_path / "run")
    assert "was not validated" in section_of(page_of(evaluation), "learning")


def test_long_curve_is_thinned_to_means():
    points = [(float(i), float(i % 2)) for i in range(4000)]
    made = run_sections.thinned(points)
    assert len(made) == run_sections.MOST_POINTS
    assert {value for _, value in made} == {0.5}
    assert made[-1][0] == 3999


def test_leak_is_called_so(tmp_path):
    runs.write(tmp_path / "run", split=pageruns.replace(runs.SPLIT, leaks=True))
    made = run_sections.splitting(tmp_path / "run", scored_runs.evaluation(run=tmp_path / "run"))
    assert made["facts"]["leaks"].startswith("YES")


def test_slices_of_a_split_are_counted_and_not_listed(tmp_path):
    split = pageruns.replace(runs.SPLIT, train=tuple(range(5000)), validation=(5001,))
    runs.write(tmp_path / "run", split=split)
    made = run_sections.splitting(tmp_path / "run", scored_runs.evaluation(run=tmp_path / "run"))
    assert made["facts"]["training"] == made["ids"]["train"] == "5,000 slices"


TWINS = {"n": 1, "of": 2, "share": 0.5, "subjects_told": True, "cases": {"a": ["x", "<y>"]}}


def scored(folder, *values, **changes):
    """Evaluation of a run that is there, made by hand."""
    if not folder.exists():
        runs.write(folder)
    return scored_runs.evaluation(*values, run=folder, **changes)


def test_repeated_patients_are_named_and_have_their_own_table(tmp_path):
    one = scored(tmp_path / "run", (0.9, 0.4))
    alone = scored_runs.evaluation(0.4, cases=("b",))
    one.record.update(twins=TWINS, rows_without_twins=alone.record["rows"])
    made = page_of(one)
    scores = section_of(made, "scores")
    assert "1 of 2 cases (50%)" in scores
    assert scores.count('scope="row">mean of classes') == 2
    assert "The 1 cases without a twin" in scores
    assert "a: x, &lt;y&gt;" in section_of(made, "split")
    assert made.count("repeated patient (twin)") == 1


def test_page_shows_the_sentence_of_the_evaluation_where_no_case_has_a_twin(tmp_path):
    summary = "no case has a known twin in training: compared with 12 training cases"
    twins = TWINS | {"n": 0, "cases": {}, "said": summary}
    made = page_of(scored(tmp_path / "run", twins=twins))
    assert f"N{summary[1:]}." in made


def test_evaluation_without_training_has_no_section_of_repeated_patients(tmp_path):
    assert "Repeated patients" not in page_of(scored(tmp_path / "run", twins=None))


def test_class_that_is_nowhere_has_no_share():
    one = scored_runs.evaluation()
    for matrix in one.record["confusion"].values():
        matrix[3] = [0, 0, 0, 0]
    row = score_sections.balance(one)["rows"][3]
    assert row[3:5] == [score_sections.DASH, "0 of 2"]


def test_notes_are_escaped_and_may_be_missing(tmp_path):
    made = page_of(scored(tmp_path / "run", notes=["<b>"]))
    assert "<li>&lt;b&gt;</li>" in made
    assert 'class="notes"' not in page_of(scored(tmp_path / "run"))


def test_number_that_is_missing_is_a_dash():
    row = {"mean": None, "low": None, "high": None, "nothing": None, "n_interval": 0}
    assert score_sections.digits(None) == score_sections.between(row) == score_sections.drawn(row)


def test_distance_may_be_missing_from_the_key_numbers():
    one = scored_runs.evaluation()
    one.record["rows"] = [row for row in one.record["rows"] if row["metric"] != "HD95 (mm)"]
    assert [name for name, *_ in score_sections.key_numbers(one)][2:] == ["cases scored"]


def test_one_case_is_best_median_and_worst():
    one = scored_runs.evaluation(cases=("a",))
    assert titles(one, ["a"]) == ["best, median, worst: a (0.800)"]


def test_best_median_and_worst_are_by_the_mean_of_classes():
    one = scored_runs.evaluation((0.2, 0.9, 0.5), cases=("a", "b", "c"))
    assert places(one) == {"best": "b", "median": "c", "worst": "a"}


def test_other_cases_follow_from_the_worst_on():
    one = scored_runs.evaluation((0.2, 0.9, 0.5, 0.4), cases=("a", "b", "c", "d"))
    assert order(one, ["b"]) == ["b", "a", "d", "c"]
    assert titles(one, ["a", "c"]) == ["worst: a (0.200)", "c (0.500)"]


def test_verbs_are_at_the_package():
    assert bratstrain.report is report
    assert callable(bratstrain.compare)
