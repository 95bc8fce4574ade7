"""Cases converted by executors: the bytes of a build on threads, and faults that resume."""

import multiprocessing
import pickle
import subprocess
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.building import far
from bratsprep.building.far import WIDTH, width_of
from bratsprep.cli import main
from bratsprep.config import PrepConfig
from bratsprep.errors import BuildError

WINDOW = "48x40"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "raw",
        cases=5, shape=(44, 50, 20), layout="brats2020", workers=1,
    )  # fmt: skip


def build(raw, out, **settings):
    bratsprep.build(raw, out, **{"crop": WINDOW} | settings)
    return out.read_bytes()


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    return build(raw, tmp_path_factory.mktemp("whole") / "out.h5")


def sent(value):
    """What arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  our own bytes


class Pickled(Executor):
    """Does every task at once, in this process, with all that it takes and gives pickled."""

    def submit(self, function, /, *arguments, **named):
        future = Future()
        function, arguments, named = sent((function, arguments, named))
        future.set_result(sent(function(*arguments, **named)))
        return future


class Failing(Executor):
    """Loses every task after the first ones."""

    def __init__(self, n_good):
        self.good = iter(range(n_good))

    def submit(self, function, /, *arguments, **named):
        future = Future()
        if next(self.good, None) is None:
            future.set_exception(RuntimeError("a worker died"))
        else:
            future.set_result(function(*arguments, **named))
        return future


def test_tasks_and_results_can_be_pickled(raw, whole, tmp_path):
    assert build(raw, tmp_path / "out.h5", executor=Pickled()) == whole


def test_an_executor_of_threads_gives_the_same_bytes(raw, whole, tmp_path):
    with ThreadPoolExecutor(3) as threads:
        assert build(raw, tmp_path / "out.h5", executor=threads) == whole


@pytest.mark.slow
def test_an_executor_of_processes_gives_the_same_bytes(raw, whole, tmp_path):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        assert build(raw, tmp_path / "out.h5", executor=processes) == whole


def test_a_window_for_every_brain_is_found_by_an_executor(raw, tmp_path):
    near = build(raw, tmp_path / "near.h5", crop="brain")
    assert build(raw, tmp_path / "far.h5", crop="brain", executor=Pickled()) == near


def test_a_relative_source_is_found_by_an_executor(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(raw.parent)
    near = build("raw", tmp_path / "near.h5")
    assert build("raw", tmp_path / "far.h5", executor=Pickled()) == near


def test_a_faulty_case_is_described_as_by_threads(raw, tmp_path, monkeypatch):
    subprocess.run(["cp", "-r", raw, tmp_path / "raw"], check=True)
    monkeypatch.chdir(tmp_path)
    next((tmp_path / "raw").rglob("*_t2.nii.gz")).write_bytes(b"no scan")
    near = build("raw", tmp_path / "near.h5", on_error="skip")
    assert build("raw", tmp_path / "far.h5", on_error="skip", executor=Pickled()) == near


def test_only_changed_cases_go_to_the_executor(raw, tmp_path):
    copy = tmp_path / "raw"
    subprocess.run(["cp", "-r", raw, copy], check=True)
    build(copy, tmp_path / "out.h5")
    first, second = sorted(copy.rglob("*_flair.nii.gz"))[:2]
    first.write_bytes(second.read_bytes())
    again = build(copy, tmp_path / "out.h5", executor=Failing(1))
    assert again == build(copy, tmp_path / "plain.h5")


def test_a_failed_executor_keeps_the_finished_cases(raw, whole, tmp_path):
    with pytest.raises(BuildError, match="executor has failed: RuntimeError: a worker died"):
        build(raw, tmp_path / "out.h5", executor=Failing(3), workers=1)
    summary = bratsprep.build(raw, tmp_path / "out.h5", crop=WINDOW)
    assert summary.resumed > 0
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_a_worker_of_other_versions_is_refused(raw, tmp_path, monkeypatch):
    versions = far.versions(PrepConfig())
    answers = iter([versions])
    monkeypatch.setattr(far, "versions", lambda _: next(answers, versions | {"numpy": "0.1"}))
    with pytest.raises(BuildError, match=r"a worker has numpy 0\.1 instead of"):
        build(raw, tmp_path / "out.h5", executor=Pickled())


def test_memory_of_an_executor_is_not_limited_from_here(raw, tmp_path):
    with pytest.raises(ValueError, match="max_ram has no effect on the workers"):
        build(raw, tmp_path / "out.h5", executor=Pickled(), max_ram=2**30)


def test_width_is_what_the_caller_or_the_executor_says():
    with ThreadPoolExecutor(3) as threads:
        assert [width_of(threads, 0), width_of(threads, 8)] == [3, 8]
    assert width_of(Pickled(), 0) == WIDTH


@pytest.mark.skipif(find_spec("distributed") is not None, reason="Dask is installed")
def test_without_dask_the_command_names_the_extra(raw, tmp_path):
    command = ["build", str(raw), str(tmp_path / "out.h5"), "--dask", "tcp://localhost:1"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert "pip install 'bratsprep[dask]'" in done.output
