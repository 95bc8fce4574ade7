import json
import math
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.config import Session, TrainConfig
from bratstrain.data.splits import Split, make_split
from bratstrain.runs.checkpoint import load_network
from bratstrain.training import fit as fit_module
from bratstrain.training import prepare_run
from bratstrain.training import step as step_module
from bratstrain.training.fit import Fitting, Stopped, fit
from bratstrain.training.here import Here
from bratstrain.training.job import make_job
from bratstrain.training.prepare_run import scheme_of
from tests.helpers import fitfiles, forks, niftis
from tests.helpers.fitfiles import (
    LEARNING,
    SMALL,
    WHOLE,
    CutError,
    assert_same,
    content,
    cut,
    cut_and_resumed,
    one_thread,  # noqa: F401  for every test here
    records,
)

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(data, folder, **WHOLE)
    return folder


def test_fit_is_a_verb_of_the_package():
    assert bratstrain.fit is fit


def test_loss_falls(data, tmp_path):
    fit(data, tmp_path / "run", **LEARNING)
    losses = [record["loss"] for record in records(tmp_path / "run", "train")]
    assert losses[-1] < 0.7 * losses[0]


def test_run_leaves_its_files(whole):
    names = {entry.name for entry in whole.iterdir()}
    assert names == {
        *("config.json", "run.json", "split.json", "log.jsonl", "last.pt", "best.pt", "events"),
        "training.npy",  # fingerprints of the training cases
        ".lock",  # held while a process fits
    }


def test_run_records_where_it_came_from(whole, data):
    facts = json.loads((whole / "run.json").read_text())
    with SliceFile(data) as file:
        split = make_split("subject", 0, file.slices, file.cases, enhancing=3)
        assert facts["data_digest"] == file.digest
    assert facts["split_digest"] == split.digest
    assert json.loads((whole / "split.json").read_text())["train"] == list(split.train)
    assert facts["finished"] is True
    assert facts["peak_memory_mb"] > 100
    assert facts["waited_s"] >= 0
    assert facts["spacings"][0]["mm"] == [1.0, 1.0, 1.0]
    assert facts["scheme"] == "msd"


def test_validation_is_logged_under_its_own_name(whole):
    found = records(whole, "validation")
    assert [record["step"] for record in found] == [4, 8]
    assert found[0]["planes"] == "tumour slices only"
    assert set(found[0]["volume_dice"]) == {"NCR", "ED", "ET", "TC", "WT"}
    assert "dice" not in str(records(whole, "train")).lower()


def test_best_weights_score_what_they_say(whole, data):
    network, weights = load_network(whole / "best.pt")
    assert weights.score == max(r["mean_regions"] for r in records(whole, "validation"))
    with SliceFile(data) as file:
        split = make_split("subject", 0, file.slices, file.cases, enhancing=3)
        (case,) = split.validation
        image, label, _ = file.volume(case)
    with torch.inference_mode():
        # Of the probabilities, as in a prediction: their rounding decides where two classes tie.
        predicted = network(torch.from_numpy(image).float()).softmax(dim=1).argmax(dim=1).numpy()
    dice = []
    for labels in ((3,), (1, 3), (1, 2, 3)):
        truth, found = np.isin(label, labels), np.isin(predicted, labels)
        both = truth.sum() + found.sum()
        dice.append(2 * (truth & found).sum() / both if both else 1.0)
    assert weights.score == pytest.approx(np.mean(dice), abs=1e-12)


def test_same_seed_gives_the_same_weights(data, whole, tmp_path):
    torch.manual_seed(99)
    fit(data, tmp_path / "run", **WHOLE)
    assert_same(tmp_path / "run", whole)


def test_another_seed_gives_other_weights(data, whole, tmp_path):
    fit(data, tmp_path / "run", **WHOLE, seed=1)
    assert content(tmp_path / "run/last.pt")["network"] != content(whole / "last.pt")["network"]


def test_fit_leaves_the_global_generator_alone(data, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(data, tmp_path / "run", **SMALL, steps=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("step", [1, 3, 5, 7, 8])
def test_cut_run_ends_as_the_whole_one(data, whole, tmp_path, monkeypatch, step):
    cut_and_resumed(monkeypatch, data, tmp_path / "run", step, **WHOLE)
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize(
    ("signum", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")]
)
def test_signal_leaves_a_checkpoint_of_its_step(data, whole, tmp_path, monkeypatch, signum, name):
    before = signal.getsignal(signum)
    with monkeypatch.context() as patch, pytest.raises(Stopped) as stop:  # noqa: PT012
        cut(patch, 5, lambda: signal.raise_signal(signum))
        fit(data, tmp_path / "run", **WHOLE)
    assert str(stop.value) == (
        f"{tmp_path / 'run'}: stopped by {name} after step 5; repeat the command to resume"
    )
    assert stop.value.number == signum
    assert signal.getsignal(signum) is before
    assert content(tmp_path / "run" / "last.pt")["progress"]["step"] == 5
    fit(data, tmp_path / "run", **WHOLE)
    assert_same(tmp_path / "run", whole)


def test_signal_in_a_validation_puts_it_off(data, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stopped):  # noqa: PT012
        cut(patch, 4, lambda: signal.raise_signal(signal.SIGTERM))
        fit(data, tmp_path / "run", **WHOLE)
    assert records(tmp_path / "run", "validation") == []
    fit(data, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_killed_process_goes_on_to_the_same_end(data, whole, tmp_path):
    folder = tmp_path / "run"
    process = forks.begin(fitting_slowly, data, folder, WHOLE)
    deadline = time.monotonic() + 600
    while not (folder / "last.pt").exists() or content(folder / "last.pt")["progress"]["step"] < 4:
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert forks.kill(process) == -signal.SIGKILL
    fit(data, folder)
    assert_same(folder, whole)


def fitting_slowly(says, data, folder, settings):
    """Fit a run that sleeps after its fifth step."""
    train = Fitting.train

    def slowly(self, batch):
        train(self, batch)
        time.sleep(600 if self.state.step == 5 else 0)

    Fitting.train = slowly
    forks.fitting(says, data, folder, settings)


LONG = WHOLE | {"steps": 60, "validate_steps": 20, "checkpoint_steps": 4}


@pytest.mark.slow
def test_run_killed_ten_times_ends_with_the_same_weights(data, tmp_path):
    started = time.monotonic()
    fit(data, tmp_path / "whole", **LONG)
    length_s = time.monotonic() - started
    folder = tmp_path / "run"
    generator = np.random.default_rng(0)
    for _ in range(10):
        process = forks.begin(forks.fitting, data, folder, LONG)
        time.sleep(generator.uniform(0, length_s / 8))
        forks.kill(process)
    fit(data, folder, **LONG)
    assert_same(folder, tmp_path / "whole")


def test_finished_run_is_left_alone(data, whole):
    before = (whole / "last.pt").stat().st_mtime_ns
    again = fit(data, whole, **WHOLE)
    assert again.was_complete
    assert "is complete already, 8 steps" in again.lines()[0]
    assert (whole / "last.pt").stat().st_mtime_ns == before


def test_other_settings_are_refused(data, whole):
    message = r"begun with steps 8, width 4; this call asks for steps 9, width 5; "
    with pytest.raises(ValueError, match=message):
        fit(data, whole, **WHOLE | {"steps": 9, "width": 5})


def test_another_slice_file_is_refused(whole, tmp_path):
    other = fitfiles.phantom_file(tmp_path, margin=1)
    with pytest.raises(
        BratsError, match=r"run: the run was begun with data [0-9a-f]{16}, .* gives"
    ):
        fit(other, whole)


def test_checkpoint_of_another_run_is_refused(data, whole, tmp_path):
    fit(data, tmp_path / "run", **WHOLE, seed=3)
    (tmp_path / "run" / "last.pt").write_bytes((whole / "last.pt").read_bytes())
    with pytest.raises(BratsError, match=r"last.pt: is of another run"):
        fit(data, tmp_path / "run")


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["empty", "half"])
def test_truncated_checkpoint_names_the_ways_on(data, whole, tmp_path, share):
    folder = tmp_path / "run"
    fit(data, folder, **WHOLE)
    path = folder / "last.pt"
    os.truncate(path, int(path.stat().st_size * share))
    message = r"last.pt: is truncated .*; delete last.pt to start the run over .* still use best.pt"
    with pytest.raises(BratsError, match=message):
        fit(data, folder)
    path.unlink()
    fit(data, folder)
    assert_same(folder, whole)


def test_truncated_checkpoint_without_best_weights_can_be_deleted(data, tmp_path):
    folder = tmp_path / "run"
    fit(data, folder, **SMALL, steps=2)
    (folder / "best.pt").unlink()
    os.truncate(folder / "last.pt", 0)
    with pytest.raises(BratsError, match=r"delete last.pt to start the run over from step 0$"):
        fit(data, folder)


@pytest.mark.parametrize("field", ["optimizer", "network", "progress", "average"])
def test_checkpoint_that_does_not_fit_is_refused(data, tmp_path, field):
    folder = tmp_path / "run"
    fit(data, folder, **SMALL, steps=2)
    state = torch.load(folder / "last.pt", weights_only=True)
    name = next(iter(state[field]))
    odd = {"step": 3} if field == "optimizer" else torch.ones(7)
    state[field][name] = {"step": torch.ones(2)} if field == "optimizer" else odd
    torch.save(state, folder / "last.pt")
    with pytest.raises(BratsError, match=r"last.pt: does not fit the run's network: "):
        fit(data, folder)


def spoil(monkeypatch, steps):
    """Feed nan to the network in some steps."""
    backward = step_module.Trainer._backward

    def spoilt(self, image, label, step):
        if step not in steps:
            return backward(self, image, label, step)
        bad = torch.full_like(image, math.nan)
        return backward(self, bad, label, step)

    monkeypatch.setattr(step_module.Trainer, "_backward", spoilt)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_step_without_a_finite_loss_is_skipped(data, tmp_path, monkeypatch, norm):
    spoil(monkeypatch, {2, 3, 6})
    done = fit(data, tmp_path / "run", **SMALL, steps=10, norm=norm)
    assert done.progress.skipped == 3
    assert "skipped  3 steps, their loss was not finite" in done.lines()
    assert records(tmp_path / "run", "train")[-1]["skipped"] == 3
    network, _ = load_network(tmp_path / "run" / "best.pt")
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


def test_run_ends_after_five_bad_steps_in_a_row(data, tmp_path, monkeypatch):
    spoil(monkeypatch, set(range(2, 99)))
    with pytest.raises(BratsError, match=r"run: the loss was not finite in the 5 steps up to 7;"):
        fit(data, tmp_path / "run", **SMALL, steps=99)


def test_leaking_split_warns_each_time(data, tmp_path):
    for _ in range(2):
        with pytest.warns(UserWarning, match="split slice has a subject on two sides"):
            done = fit(data, tmp_path / "run", **SMALL, steps=2, split="slice")
    assert done.was_complete


def test_minutes_end_a_run_with_its_schedule_done(data, tmp_path):
    done = fit(data, tmp_path / "run", **SMALL, minutes=0.02)
    assert 0.8 * 1.2 <= done.progress.used_s < 5
    last = records(tmp_path / "run", "train")[-1]
    assert last["learning_rate"] < 0.2 * done.config.learning_rate
    assert done.progress.validated == done.progress.step


@pytest.fixture
def slow_clock(monkeypatch):
    """A clock on which a step takes 1 second and a validation 10."""
    now = [0.0]

    def taking(seconds, work):
        def slowly(*arguments, **settings):
            now[0] += seconds
            return work(*arguments, **settings)

        return slowly

    monkeypatch.setattr(fit_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(fit_module, "validate", taking(10, fit_module.validate))
    monkeypatch.setattr(step_module.Trainer, "step", taking(1, step_module.Trainer.step))


def test_minutes_leave_time_for_the_last_validation(data, tmp_path, slow_clock):
    done = fit(data, tmp_path / "run", **SMALL, minutes=1, validate_steps=12)
    assert [r["step"] for r in records(tmp_path / "run", "validation")] == [12, 24, 30]
    assert done.progress.used_s == 60


def test_first_validation_is_reckoned_as_a_third_of_as_many_steps(data, tmp_path, slow_clock):
    fit(data, tmp_path / "run", **SMALL | {"batch_size": 1}, minutes=1, validate_steps=999)
    with SliceFile(data) as file:
        split = make_split("subject", 0, file.slices, file.cases, enhancing=3)
        n_slices = len(split.rows("validation", file.slices, file.cases))
    steps = [r["step"] for r in records(tmp_path / "run", "validation")]
    assert steps == [math.ceil(60 - n_slices / 3)]


def test_finished_run_of_minutes_is_left_alone(data, tmp_path):
    first = fit(data, tmp_path / "run", **SMALL, minutes=0.02)
    again = fit(data, tmp_path / "run")
    assert again.was_complete
    assert again.progress == first.progress


def test_minutes_are_over_all_sittings(data, tmp_path, monkeypatch, slow_clock):
    with monkeypatch.context() as patch, pytest.raises(Stopped):  # noqa: PT012
        cut(patch, 8, lambda: signal.raise_signal(signal.SIGTERM))
        fit(data, tmp_path / "run", **SMALL, minutes=1, validate_steps=12)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["used_s"] == 8
    done = fit(data, tmp_path / "run")
    assert done.progress.used_s == 60
    assert [r["step"] for r in records(tmp_path / "run", "validation")] == [12, 24, 30]


def test_split_does_not_depend_on_the_seed(data, whole, tmp_path):
    fit(data, tmp_path / "run", **SMALL, steps=1, seed=7)
    assert (tmp_path / "run" / "split.json").read_text() == (whole / "split.json").read_text()


def test_patience_ends_a_run_early(data, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module.Validation, "mean_regions", 0.5)
    done = fit(data, tmp_path / "run", **SMALL, steps=50, validate_steps=1, patience=3)
    assert (done.progress.step, done.progress.best_step) == (4, 1)


def test_epoch_is_as_long_as_the_training_slices(data, tmp_path):
    done = fit(data, tmp_path / "run", **SMALL, epochs=2)
    with SliceFile(data) as file:
        split = make_split("subject", 0, file.slices, file.cases, enhancing=3)
        n_slices = len(split.rows("train", file.slices, file.cases))
    assert done.progress.step == 2 * math.ceil(n_slices / 4)
    assert len(records(tmp_path / "run", "validation")) == 2


def test_checkpoints_come_by_the_clock_too(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
        cut(patch, 3)
        fit(data, tmp_path / "run", **SMALL, steps=9, checkpoint_minutes=1e-9)
    assert content(tmp_path / "run" / "last.pt")["progress"]["step"] == 2


def test_folder_is_named_after_content(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    one = fit(data, **SMALL, steps=1, tell=told.append)
    assert one.folder.parent == Path("runs")
    assert one.folder.name.startswith("small-residual-")
    assert told[0].startswith(f"{one.folder}: begins; residual, ")
    assert fit(data, **SMALL, steps=1).was_complete
    assert fit(data, **SMALL, steps=2).folder != one.folder


def test_bf16_is_on_request(data, tmp_path):
    done = fit(data, tmp_path / "run", **SMALL, steps=2, precision="bf16")
    assert done.config.precision == "bf16"


@pytest.mark.parametrize("loss", ["ce", "focal", "tversky", "dice"])
def test_each_loss_runs(data, tmp_path, loss):
    done = fit(data, tmp_path / "run", **SMALL, steps=1, loss=loss, recipe="deck")
    assert done.progress.step == 1


def test_raw_slices_give_the_run_of_normalised_ones(data, tmp_path):
    raw = fitfiles.phantom_file(tmp_path, normalise="none")
    losses = []
    for name, path in (("run-a", data), ("run-b", raw)):
        fit(path, tmp_path / name, **SMALL, steps=3, precision="fp32")
        losses.append(records(tmp_path / name, "train")[-1]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_instance_norm_of_one_pixel_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="depth 6 leaves one pixel of 32 x 32"):
        fit(data, tmp_path / "run", **SMALL | {"depth": 6})


def test_unknown_setting_is_refused(data, tmp_path):
    with pytest.raises(TypeError, match="unexpected keyword argument 'lr'"):
        fit(data, tmp_path / "run", lr=3)


def test_validation_without_slices_is_refused(data, tmp_path):
    with SliceFile(data) as file:
        split = make_split("subject", 0, file.slices, file.cases, enhancing=3)
        nobody = Split("subject", 0, split.train, ("X",), (), leaks=False)
        with pytest.raises(BratsError, match="holds no slice of the 1 validation cases"):
            make_job(tmp_path, file, TrainConfig(), Here(Session(), torch.device("cpu")), nobody)


def test_file_without_slices_is_refused_for_its_true_reason(tmp_path):
    images, label = niftis.phantom()
    for number in (1, 2):
        niftis.write_case(
            tmp_path / "raw", f"BraTS2021_{number:05d}", volumes=(images, np.zeros_like(label))
        )
    path = tmp_path / "empty.h5"
    bratsprep.build(tmp_path / "raw", path, crop="8x8", labels="brats2017", workers=1)
    with pytest.raises(BratsError, match="no slice, since none of its 2 cases has tumour") as fault:
        fit(path, tmp_path / "run", **SMALL)
    assert "--fold" not in str(fault.value)


def test_validations_are_told_where_no_bar_is_shown(data, tmp_path):
    lines = []
    fit(data, tmp_path / "run", tell=lines.append, **SMALL, steps=2, validate_steps=1)
    assert len(lines) == 3
    assert "step 1" in lines[1]
    assert "step 2" in lines[2]


def test_class_weights_are_inverse_roots_with_mean_1():
    voxels = np.array([[300, 4, 0, 1], [100, 0, 0, 0]])
    weights = step_module.class_weights(voxels).numpy()
    assert weights == pytest.approx(np.array([0.05, 0.5, 1.0, 1.0]) / 0.6375)


def test_scheme_of_a_mixed_file_is_empty(data):
    with SliceFile(data) as file:
        assert scheme_of(file) == "msd"
        file.cases["scheme"][0] = "brats2023"
        assert scheme_of(file) == ""


def test_config_and_settings_by_name_are_not_mixed(data, tmp_path):
    with pytest.raises(ValueError, match="give config or settings by name, got both: width"):
        fit(data, tmp_path / "run", config=TrainConfig(), width=3)


def test_config_as_a_whole_is_taken(data, tmp_path, whole):
    config = TrainConfig.from_json((whole / "config.json").read_text())
    fit(data, tmp_path / "run", config=config, device="cpu", checkpoint_steps=3)
    assert_same(tmp_path / "run", whole)


def test_fit_works_outside_the_main_thread(data, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(fit, data, tmp_path / "run", **SMALL, steps=1).result()
    assert done.progress.step == 1


def test_batch_auto_tries_full_steps(data, tmp_path, monkeypatch):
    def try_two(attempt, device):
        attempt(2)
        return 2

    monkeypatch.setattr(prepare_run, "largest_batch", try_two)
    done = fit(data, tmp_path / "run", **SMALL | {"batch_size": 0}, steps=1)
    assert done.config.batch_size == 2


def test_a_full_gpu_is_said_with_a_way_on(data, tmp_path, monkeypatch):
    def fill(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(step_module.Trainer, "step", fill)
    with pytest.raises(BratsError, match="memory of the GPU is full; begin a new run with --batch"):
        fit(data, tmp_path / "run", **LEARNING)
