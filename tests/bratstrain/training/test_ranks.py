"""Fits by several ranks: the same run as by one, whoever dies, stops or goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain.runs.files import claimed
from bratstrain.training.fit import fit, fit_at
from tests.helpers import fitfiles
from tests.helpers.fitfiles import content, one_thread, records  # noqa: F401  for every test here
from tests.helpers.programs import fork_of

ROOT = Path(__file__).parent.parent.parent.parent
TWO = {"gpus": "cpu,cpu"}
SMALL = {
    "model": "residual", "width": 2, "depth": 2, "batch_size": 4, "steps": 10, "validate_steps": 5,
    "ema": 0.9, "warmup": 0, "learning_rate": 1e-3, "precision": "fp32",
}  # fmt: skip
OTHERS = {
    "deck": {"recipe": "deck"},
    "context": {"context": 3},
    "volume": {"model": "residual3d", "patch": "8x16x16", "batch_size": 2},
    "regions": {"target": "regions", "loss": "tversky", "augment": "targeted", "swa": 0.5},
}
"""Batch norm, dropout and deck's noise; samples of several planes; patches; nested regions."""
ALONE = {"device": "cpu"}
pytestmark = pytest.mark.slow
PYTHON = sys.executable
"""Where a test means the interpreter itself."""


@pytest.fixture(scope="module", autouse=True)
def ranks_are_forks(programs):
    """Ranks with one thread of torch each, as the tests have, that do not import it anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(sys, "executable", str(programs / "python"))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"), slices="brain")


@pytest.fixture(scope="module")
def by_two(data, tmp_path_factory):
    """A run of two ranks: its folder, what was told, and its result."""
    told, folder = [], tmp_path_factory.mktemp("two") / "run"
    return folder, told, fit(data, folder, tell=told.append, **SMALL, **TWO)


def weights(run, name="last.pt"):
    return torch.load(run / name, weights_only=True)["network"]


def furthest(run, other):
    """Largest difference of the weights of two runs."""
    one, two = weights(run), weights(other)
    return max(float((one[name].double() - two[name].double()).abs().max()) for name in one)


def test_two_ranks_end_as_one(data, by_two, tmp_path):
    folder, told, result = by_two
    alone = fit(data, tmp_path / "run", **SMALL, **ALONE)
    assert furthest(folder, tmp_path / "run") < 1e-3
    assert result.folder == folder
    assert (result.progress.step, result.was_complete) == (10, False)
    assert result.progress.best_score == pytest.approx(alone.progress.best_score, abs=0.02)
    assert told[0].endswith("batches of 4; 2 ranks")
    assert [line.split(":")[0] for line in told[1:]] == ["step 5", "step 10"]


@pytest.mark.parametrize("kind", OTHERS)
def test_two_ranks_end_as_one_for_each_kind_of_sample(data, tmp_path, kind):
    settings = SMALL | OTHERS[kind]
    for name, ways in (("two", TWO), ("one", ALONE)):
        fit(data, tmp_path / name, **settings, **ways)
    assert furthest(tmp_path / "two", tmp_path / "one") < 1e-3


def test_two_ranks_equal_themselves_to_the_bit(data, by_two, tmp_path):
    fit(data, tmp_path / "run", **SMALL, **TWO)
    for name in ("last.pt", "best.pt"):
        assert content(tmp_path / "run" / name) == content(by_two[0] / name)
    assert records(tmp_path / "run") == records(by_two[0])


def test_one_rank_equals_no_group_to_the_bit(data, tmp_path):
    fit(data, tmp_path / "one", **SMALL, gpus="cpu")
    fit(data, tmp_path / "none", **SMALL, **ALONE)
    for name in ("last.pt", "best.pt"):
        assert content(tmp_path / "one" / name) == content(tmp_path / "none" / name)


def test_one_rank_writes(by_two):
    folder, _, _ = by_two
    assert [record["step"] for record in records(folder, "validation")] == [5, 10]
    assert len(records(folder, "train")) == 1
    assert len([*(folder / "events").iterdir()]) == 1
    facts = json.loads((folder / "run.json").read_text())
    assert facts["ranks"] == {"0": 2}
    assert facts["finished"]


def test_a_finished_run_is_left_alone_by_any_number_of_ranks(data, by_two):
    before = (by_two[0] / "last.pt").stat().st_mtime_ns
    assert fit(data, by_two[0], **TWO).was_complete
    assert fit(data, by_two[0], **ALONE).was_complete
    assert (by_two[0] / "last.pt").stat().st_mtime_ns == before


def test_a_batch_that_cannot_be_divided_is_refused_and_begins_nothing(data, tmp_path):
    odd = SMALL | {"batch_size": 5}
    message = "batch 5 cannot be divided over 2 ranks; begin a run with a batch of 4 or 6, or take"
    with pytest.raises(ValueError, match=message):
        fit(data, tmp_path / "run", **odd, **TWO)
    assert not (tmp_path / "run" / "config.json").exists()
    fit(data, tmp_path / "run", **odd | {"steps": 1}, **ALONE)
    with pytest.raises(ValueError, match=message):
        fit(data, tmp_path / "run", **TWO)


def test_an_error_of_the_first_rank_is_raised_here(data, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(BratsError, match=r"holds mine.txt and no run; name a new folder"):
        fit(data, tmp_path, **SMALL, **TWO)


def test_a_leaking_split_warns_once(data, tmp_path):
    with pytest.warns(UserWarning, match="split slice has a subject on two sides") as caught:
        fit(data, tmp_path / "run", **SMALL | {"steps": 1, "split": "slice"}, **TWO)
    assert len(caught) == 1


ENDLESS = [
    "--width", "2", "--depth", "2", "--batch", "4", "--validate-steps", "40", "--steps", "160",
    "--checkpoint-steps", "10",
]  # fmt: skip


def command(data, run, *more, python=None):
    """Begin or go on with a long run as a process; gives it when it has saved."""
    process = subprocess.Popen(
        [python or sys.executable, "-m", "bratstrain", "fit", data, "--run", run, *ENDLESS, *more],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (run / "last.pt").exists() or not saved_step(run):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


def saved_step(run):
    """Step of the last checkpoint."""
    return content(run / "last.pt")["progress"]["step"]


def ranks_of(process):
    """Numbers of the processes of the ranks, in the order of their start."""
    number = process.pid
    if process.args[0] != PYTHON:
        number = fork_of(Path(process.args[0]).parent, number)
    path = Path(f"/proc/{number}/task/{number}/children")
    return [int(number) for number in path.read_text().split()]


in_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="ranks are not listed here")


def gone(numbers):
    return not any(Path(f"/proc/{number}").exists() for number in numbers)


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


@in_proc
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_run_and_one_goes_on(data, run, victim):
    process = command(data, run, "--gpus", "cpu,cpu")
    ranks = ranks_of(process)
    os.kill(ranks[victim], signal.SIGKILL)
    begin = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begin < 60
    assert process.returncode == 1
    message = f"Error: {run}: rank {victim} of 2 was ended by SIGKILL; repeat the command to go on"
    assert message in said
    assert "Traceback" not in said
    assert gone(ranks)
    step = saved_step(run)
    assert 0 < step < 160
    assert fit(data, run, **ALONE).progress.step == 160
    assert json.loads((run / "run.json").read_text())["ranks"] == {"0": 2, str(step): 1}


@in_proc
def test_a_signal_to_one_rank_stops_all_at_one_step_and_three_go_on(data, run):
    process = command(data, run, "--gpus", "cpu,cpu")
    ranks = ranks_of(process)
    os.kill(ranks[1], signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    step = saved_step(run)
    assert f"{run}: stopped by SIGTERM after step {step}; repeat the command to resume" in said
    assert gone(ranks)
    assert fit(data, run, gpus="cpu,cpu,cpu,cpu").progress.step == 160
    assert json.loads((run / "run.json").read_text())["ranks"] == {"0": 2, str(step): 4}


@in_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_command_stops_all_ranks(data, run, number):
    process = command(data, run, "--gpus", "cpu,cpu")
    ranks = ranks_of(process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"{run}: stopped by {number.name} after step " in said
    assert gone(ranks)


@in_proc
@pytest.mark.parametrize("python", [None, PYTHON], ids=["forks", "real"])
def test_ranks_stop_when_the_command_is_killed(data, run, python):
    process = command(data, run, "--gpus", "cpu,cpu", python=python)
    ranks = ranks_of(process)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while not gone(ranks):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with claimed(run) as is_begun:  # nobody holds the folder any more
        assert is_begun


def begun_by(environment, data, run, *more):
    """Two processes whose environment says that they are ranks."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", "bratstrain", "fit", data, "--run", run, *more],
            cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"} | environment(rank),
        )
        for rank in range(2)
    ]  # fmt: skip


def two_of(environment, data, run, *more):
    """Let two ranks of an environment end; their exit codes, and what each has printed."""
    processes = begun_by(environment, data, run, *more)
    said = [process.communicate(timeout=120) for process in processes]
    return [process.returncode for process in processes], said


def srun(rank):
    """What srun sets for two tasks on one node."""
    return {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0", "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2",
    }  # fmt: skip


SHORT = [*ENDLESS[:6], "--steps", "4", "--device", "cpu"]


def test_tasks_of_srun_are_ranks_and_one_speaks(data, run):
    codes, said = two_of(srun, data, run, *SHORT)
    assert codes == [0, 0], said
    assert f"{run}: 4 steps in " in said[0][0]
    assert "batches of 4; 2 ranks" in said[0][1]
    assert said[1] == ("", "")


def test_a_signal_to_one_task_of_srun_stops_both_with_a_checkpoint(data, run):
    processes = begun_by(srun, data, run, *ENDLESS, "--device", "cpu")
    while not (run / "last.pt").exists() or not saved_step(run):
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [143, 143]
    assert f"{run}: stopped by SIGTERM after step {saved_step(run)}; repeat the" in said[0][1]
    assert said[1] == ("", "")


def test_a_killed_task_of_srun_ends_the_other_with_a_message(data, run):
    processes = begun_by(srun, data, run, *ENDLESS, "--device", "cpu")
    while not (run / "last.pt").exists():
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.05)
    processes[1].kill()
    _, said = processes[0].communicate(timeout=60)
    processes[1].communicate()
    assert processes[0].returncode == 1
    assert "Error: another rank of the run was lost (" in said
    assert "Traceback" not in said


def test_an_error_under_srun_is_said_once(data, run):
    codes, said = two_of(srun, data, run, *SHORT, "--batch", "3")
    assert codes == [2, 1]
    assert "Error: batch 3 cannot be divided over 2 ranks" in said[0][1]
    assert said[1] == ("", "")


def test_torchrun_does_not_swallow_the_run_folder(data, run):
    done = subprocess.run(
        [PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "--", "bratstrain", "fit", data, "--run", run, *SHORT],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"{run}: 4 steps in ") == 1
    assert json.loads((run / "run.json").read_text())["ranks"] == {"0": 2}


def test_gpus_beside_ranks_that_were_started_elsewhere_are_refused(data, run):
    codes, said = two_of(srun, data, run, *SHORT[:-2], "--gpus", "2")
    assert codes == [2, 2]
    assert "gpus 2 has no effect under srun, which has started 2 ranks; leave it out" in said[0][1]


def test_folds_and_studies_do_not_take_tasks_for_ranks(data, run, monkeypatch):
    for name, value in srun(0).items():
        monkeypatch.setenv(name, value)
    assert fit_at(None, data, run, **SMALL | {"steps": 1}, **ALONE).progress.step == 1


def test_starts_and_ends_in_a_row_do_not_hang(data, tmp_path):
    for number in range(3):
        begin = time.monotonic()
        fit(data, tmp_path / f"run-{number}", **SMALL | {"steps": 1}, **TWO)
        assert time.monotonic() - begin < 60
