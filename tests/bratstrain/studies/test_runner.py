"""A study that really runs: what it holds out, what it does once only, what it refuses."""

import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratstrain.studies import runner
from tests.helpers.fitfiles import CutError, cut
from tests.helpers.studies import FILE, phantoms, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return phantoms(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """So small a network is fitted soonest by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory):
    """A finished study: its folder, what came of it, and what it said."""
    folder, said = tmp_path_factory.mktemp("finished"), []
    done = run(folder, raw, tell=said.append)
    return folder, done, said


def run(folder, raw, text=FILE, **settings):
    """Do the small study in a folder."""
    settings = {"workers": 1, "device": "cpu", "threads": 1} | settings
    return bratstrain.study(written(folder, text), raw, folder / "out", **settings)


def results(folder):
    """Inode, time and size of every slice file, weight and evaluation."""
    return {
        path.relative_to(folder): (stat := path.stat()) and (stat.st_ino, stat.st_mtime_ns)
        for pattern in ("*.h5", "*.pt", "log.jsonl", "evaluation.json", "compare.html")
        for path in folder.rglob(pattern)
    }


def honest(done):
    """Honest scores of a study."""
    return [each.honest for each in done.study.outcomes]


def test_study_scores_each_experiment(finished):
    _, done, _ = finished
    assert [each.experiment.name for each in done.study.outcomes] == ["leaky", "plain", "case-norm"]
    assert all(each.honest.is_known and each.claims.is_known for each in done.study.outcomes)


def test_all_are_scored_on_the_same_cases_that_none_has_seen(finished):
    folder, done, _ = finished
    held_out = set(done.study.cases)
    assert len(held_out) == 2
    for each in done.study.outcomes:
        assert set(each.held_out.cases) == held_out
        split = json.loads((folder / "out" / each.facts.run / "split.json").read_text())
        if each.facts.leaks:
            with bratsprep.open(folder / "out" / each.facts.slice_file) as file:
                rows = split["train"] + split["validation"]
                seen = set(file.cases["id"][file.slices["case"][rows]].tolist())
        else:
            seen = {*split["train"], *split["validation"]}
        assert not seen & held_out


def test_claim_is_over_the_runs_own_validation_cases(finished):
    folder, done, _ = finished
    plain = done.study.named("plain")
    split = json.loads((folder / "out" / plain.facts.run / "split.json").read_text())
    assert list(plain.validation.cases) == split["validation"]


def test_honest_score_is_what_evaluate_gives(finished, raw, tmp_path):
    folder, done, _ = finished
    plain = done.study.named("plain")
    report = bratstrain.evaluate(
        folder / "out" / plain.facts.run, raw=raw, split="test", out=tmp_path, device="cpu"
    )
    row = next(
        row for row in report.table.rows
        if (row.convention, row.metric, row.part) == ("brats", "volume Dice", "mean of classes")
    )  # fmt: skip
    assert (plain.honest.mean, plain.honest.low) == (row.mean, row.low)


def test_equal_builds_are_made_once(finished):
    folder, _, said = finished
    assert len(list((folder / "out" / "slices").glob("*.h5"))) == 2
    assert [line for line in said if line.startswith("slices")][1].startswith("slices 2 of 2: ")


def test_tables_are_written(finished):
    folder, done, _ = finished
    names = ["study.md", "study.csv", "study.json", "compare.html"]
    assert [path.name for path in done.files] == names
    assert all(path.is_file() for path in done.files)
    assert str(folder / "out" / "study.md") in done.lines()


def test_second_call_repeats_nothing(finished, raw):
    folder, done, _ = finished
    before, said = results(folder), []
    again = run(folder, raw, tell=said.append)
    assert results(folder) == before
    assert "run 2 of 3: plain is finished" in said
    assert honest(again) == honest(done)


def test_lost_evaluation_is_made_again_and_no_run_is(finished, raw):
    folder, done, _ = finished
    best = folder / "out" / done.study.named("plain").facts.run / "best.pt"
    before = best.stat()
    (evaluation,) = best.parent.glob("evaluation-test-raw-*/evaluation.json")
    evaluation.unlink()
    again = run(folder, raw)
    assert again.study.named("plain").honest == done.study.named("plain").honest
    assert os.path.samestat(best.stat(), before)


def test_cut_run_goes_on_and_the_table_knows_what_is_finished(raw, tmp_path, monkeypatch, finished):
    with monkeypatch.context() as patch:
        outcome_of = runner.outcome_of

        def outcome_and_a_cut_in_the_next_run(*words):
            patch.setattr(runner, "fit_at", partial(runner.fit_at, checkpoint_steps=1))
            cut(patch, 3)
            return outcome_of(*words)

        patch.setattr(runner, "outcome_of", outcome_and_a_cut_in_the_next_run)
        with pytest.raises(CutError):
            run(tmp_path, raw)
    so_far = json.loads((tmp_path / "out" / "study.json").read_text())
    assert so_far["unfinished"] == ["plain", "case-norm"]
    said = []
    done = run(tmp_path, raw, tell=said.append)
    assert any("plain" in line and "resumes after step 2" in line for line in said)
    assert honest(done) == honest(finished[1])


def test_changed_experiment_leaves_the_others_alone(finished, raw, tmp_path):
    folder, done, _ = finished
    before = results(folder)
    again = run(folder, raw, FILE + "fit.seed = 5\n")
    before.pop(Path("out/compare.html"))  # which has another run in it now
    assert results(folder).items() > before.items()
    assert again.study.named("plain").facts == done.study.named("plain").facts
    assert again.study.named("case-norm").facts.run != done.study.named("case-norm").facts.run


def test_single_experiment_in_no_folder_is_under_runs_without_a_page(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = FILE[: FILE.index('[[experiment]]\nname = "plain"')].replace('"plain"', '"leaky"', 1)
    bratstrain.study(written(tmp_path, text), raw, device="cpu", workers=1)
    assert {path.name for path in Path("runs/small").iterdir() if path.is_file()} == {
        "study.md", "study.csv", "study.json"
    }  # fmt: skip


def test_nothing_is_built_where_the_file_is_wrong(raw, tmp_path):
    with pytest.raises(ValueError, match="unknown setting sed"):
        run(tmp_path, raw, FILE + "fit.sed = 5\n")
    assert not (tmp_path / "out").exists()


def test_other_test_cases_are_refused_before_anything_is_fitted(raw, tmp_path):
    with pytest.raises(BratsError, match="case-norm holds out other cases than leaky, such as"):
        run(tmp_path, raw, FILE + "fit.test_share = 0.6\n")
    assert not list((tmp_path / "out" / "runs").iterdir())


def test_split_file_without_test_cases_is_refused(raw, tmp_path):
    split = {"train": ["BRATS_001"], "validation": ["BRATS_002"]}
    (tmp_path / "ours.json").write_text(json.dumps(split))
    text = FILE.replace('"slice"', '"ours.json"').replace("test_share = 0.3", "test_share = 0.0")
    text = text.replace('fit.split = "subject"\n', "")
    with pytest.raises(BratsError, match="leaky holds out no case"):
        run(tmp_path, raw, text)


def test_person_held_out_and_learnt_from_is_refused(tmp_path):
    raw = phantoms(tmp_path, layout="brats2023", repeats=1)
    ids = sorted(path.name for path in raw.iterdir() if path.is_dir())
    person = next(name for name in ids if name.endswith("-001"))
    first = person.replace("-001", "-000")
    others = [name for name in ids if name not in (person, first)]
    split = {"train": [first, others[0]], "validation": [others[1]], "test": [person]}
    (tmp_path / "ours.json").write_text(json.dumps(split))
    text = FILE.replace('"slice"', '"ours.json"').replace("test_share = 0.3", "test_share = 0.0")
    text = text.replace('fit.split = "subject"\n', "")
    with pytest.raises(BratsError, match="is held out and in train too"):
        run(tmp_path, raw, text)


def test_other_raw_cases_need_another_folder(finished, tmp_path):
    folder, _, _ = finished
    with pytest.raises(BratsError, match="in a study other raw cases go with another folder"):
        run(folder, phantoms(tmp_path, cases=7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": -1}, "workers must be at least 0"),
        ({"threads": -1}, "threads must be at least 0"),
        ({"labels": "some"}, "label scheme 'some' is unknown"),
    ],
)
def test_settings_are_checked(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        bratstrain.study("negatives", tmp_path, tmp_path / "out", profile="demo", **settings)
    assert not list(tmp_path.iterdir())
