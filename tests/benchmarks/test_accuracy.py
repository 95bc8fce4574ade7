"""Plan, kept work, inner folds, scores and tables of `benchmarks.accuracy`; nothing is trained."""

import json
import shutil
import time

import pytest

import bratstrain
from benchmarks import accuracy, accuracy_choice
from benchmarks.accuracy_plan import Plan, Side, read_plan
from benchmarks.accuracy_run import Leg, Place, kept, run_ours
from benchmarks.accuracy_scores import compared, scored
from benchmarks.peers.clocks import set_clock
from bratsprep.phantom.phantoms import phantoms

ONE = Side(name="One side", minutes=(1, 2))
OTHER = Side(name="other", minutes=(3,))


@pytest.fixture
def plan():
    return Plan(sides=(ONE, OTHER), lead="One side", folds=(0, 1))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return phantoms(tmp_path_factory.mktemp("accuracy") / "raw", cases=4, layout="brats2020",
                    shape=(20, 18, 12))  # fmt: skip


@pytest.fixture
def place(raw, tmp_path):
    place = Place(raw, tmp_path / "work", "", "")
    place.work.mkdir()
    bratstrain.splits(raw, place.splits)
    return place


def label(place, side, minutes, fold, source=None):
    """Write truths, or the truth of one case for all, as the labels of a side."""
    folder = place.predicted(side, 0, minutes)
    folder.mkdir(parents=True, exist_ok=True)
    for case in json.loads(place.splits.read_text())[fold]["val"]:
        truth = next(place.raw.rglob(f"{source or case}_seg.nii.gz"))
        shutil.copy(truth, folder / f"{case}.nii.gz")
    facts = {"steps": 5, "batch": 2, "seconds": 60.0, "fit": 61.0, "predict": 2.0}
    about = {"side": side.name, "fold": fold, "seed": 0, "minutes": minutes}
    return about | facts | {"peak_bytes": 1e6}


@pytest.mark.parametrize("name", ["hour", "processor"])
def test_plans_that_ship_can_be_read(name):
    plan = read_plan(accuracy.PLANS / f"{name}.toml")
    assert len({side.slug for side in plan.sides}) == len(plan.sides)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lead": "nobody"}, "lead must be one of"),
        ({"sides": (ONE, ONE)}, "names of their own"),
        ({"sides": (Side(name="One side", minutes=(2, 1)),)}, "minutes must rise"),
        ({"clock": "processor", "device": "cpu"}, "number of threads"),
    ],
)
def test_plan_refuses_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**{"sides": (ONE, OTHER), "lead": "One side"} | change)


def test_finished_work_is_kept_and_a_fault_is_not(tmp_path):
    path, calls = tmp_path / "found.json", []
    place = Place(tmp_path, tmp_path, "", "")

    def make():
        calls.append(1)
        return {"fault": "none"} if len(calls) == 1 else {"steps": len(calls)}

    assert kept(place, path, make) == {"fault": "none"}
    assert kept(place, path, make) == kept(place, path, make) == {"steps": 2}
    assert kept(place, path, make, again=True) == {"steps": 3}
    closed = Place(tmp_path, tmp_path, "", "", is_closed=True)
    assert "not run" in kept(closed, tmp_path / "other.json", make)["fault"]


def test_processor_clock_does_not_count_sleep(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)
    set_clock("processor")
    started, began = time.perf_counter(), time.monotonic()
    time.sleep(0.1)
    assert time.perf_counter() - started < 0.05 < time.monotonic() - began


def test_earlier_version_without_a_checkout_is_a_fault(plan, place):
    (found,) = run_ours(plan, place, Leg(Side(name="old", minutes=(1,), earlier=True), 0),
                        again=False)  # fmt: skip
    assert "no checkout" in found["fault"]


def test_inner_folds_hold_no_case_that_a_fold_is_scored_on():
    splits = [{"train": list("bcdefgh"), "val": ["a"]}, {"train": list("acdefgh"), "val": ["b"]}]
    inner = accuracy_choice.inner_folds(splits)
    assert sorted(case for fold in inner for case in fold["val"]) == list("cdefgh")
    for fold in inner:
        assert sorted(fold["train"] + fold["val"]) == list("cdefgh")


@pytest.mark.slow
def test_sides_are_scored_over_their_folds_and_compared_over_common_ones(plan, place):
    runs = [label(place, ONE, 1, 0), label(place, ONE, 2, 0), label(place, ONE, 2, 1)]
    first = json.loads(place.splits.read_text())[0]["train"][0]
    runs += [label(place, OTHER, 3, 0, source=first)]
    runs += [{"side": "other", "fold": 1, "seed": 0, "fault": "out of memory"}]
    done = scored(plan, place, runs)
    assert [(one.minutes, one.folds) for one in done] == [(1, (0,)), (2, (0, 1)), (3, (0,))]
    means = [one.to_json()["volume_dice"]["mean of classes"]["mean"] for one in done]
    assert means[:2] == [1.0, 1.0]
    pairs = compared(plan, place, done)
    lead = next(row for row in pairs if row["part"] == "mean of classes")
    assert (lead["run"], lead["other"], lead["folds"]) == ("One side, 2 min", "other, 3 min", [0])
    assert lead["mean"] == pytest.approx(1 - means[2])


def test_results_are_written_with_faults(plan, place, tmp_path):
    runs = [label(place, ONE, 2, 0), label(place, ONE, 2, 1)]
    runs += [{"side": "other", "fold": 0, "seed": 0, "fault": "out of memory"}]
    about = {"command": "python -m benchmarks.accuracy RAW", "facts": {}}
    accuracy.write(plan, place, runs, about, tmp_path / "results" / "accuracy")
    text = (tmp_path / "results" / "accuracy.md").read_text()
    assert "out of memory" in text
    assert "| One side | 2 | 0 | 2 | 5, 5 | 1.000" in text
    kept_numbers = json.loads((tmp_path / "results" / "accuracy.json").read_text())
    assert kept_numbers["scores"][0]["folds"] == [0, 1]
    assert (tmp_path / "results" / "accuracy.png").stat().st_size > 1000


def test_candidates_are_ordered_by_their_mean_over_folds(monkeypatch):
    monkeypatch.setattr(accuracy_choice, "mean_of_classes", lambda found, _: found["classes"])
    runs = [
        {"name": name, "minutes": 6, "classes": classes, "validation": {"mean_regions": regions}}
        for name, classes, regions in (("a", 0.4, 0.5), ("b", 0.6, 0.5), ("a", 0.6, 0.5))
    ]
    runs.append({"name": "c", "minutes": 6, "fault": "stopped"})
    assert accuracy_choice.means(runs, None) == [
        ["b", "6", "1", ".600", ".500", ".550"],
        ["a", "6", "2", ".500", ".500", ".500"],
    ]
