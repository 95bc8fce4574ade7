import contextlib
import fcntl
import json
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bratsprep.errors import BratsError
from bratstrain.runs.files import claimed, finite, read_json, read_log, versions, write_json
from bratstrain.training.log import Bar, RunLog, flat, replacing


def test_file_appears_when_it_is_whole(tmp_path):
    with replacing(tmp_path / "a") as file:
        file.write(b"whole")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(BratsError, match=r"none/a: cannot be written: No such file"):  # noqa: SIM117
        with replacing(tmp_path / "none" / "a"):
            pass


def test_facts_come_back(tmp_path):
    write_json(tmp_path / "run.json", {"step": 3})
    assert read_json(tmp_path / "run.json") == {"step": 3}


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read as JSON"), ("[]", "is no JSON object")]
)
def test_damaged_facts_are_named(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BratsError, match=rf"run.json: {message}"):
        read_json(tmp_path / "run.json")


def test_missing_facts_are_named(tmp_path):
    with pytest.raises(BratsError, match=r"run.json: cannot be read: .*No such file"):
        read_json(tmp_path / "run.json")


def test_versions_name_what_decides_the_result():
    assert set(versions()) == {"python", "bratsprep", "torch", "numpy", "h5py"}


def test_new_folder_is_made_and_holds_no_run(tmp_path):
    with claimed(tmp_path / "runs" / "a") as is_there:
        assert not is_there
        assert (tmp_path / "runs" / "a").is_dir()


def test_folder_of_a_run_killed_at_its_start_is_taken(tmp_path):
    for name in ("run.json", "split.json", "config.json.new"):
        (tmp_path / name).touch()
    with claimed(tmp_path) as is_there:
        assert not is_there


def test_folder_with_settings_holds_a_run(tmp_path):
    (tmp_path / "config.json").touch()
    (tmp_path / "notes.txt").touch()
    with claimed(tmp_path) as is_there:
        assert is_there


def refuse(folder, message):
    with pytest.raises(BratsError, match=message):  # noqa: SIM117
        with claimed(folder):
            pass


def test_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    refuse(tmp_path, r"holds thesis.tex and no run; name a new folder")


def test_folder_in_use_is_refused(tmp_path):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refuse(tmp_path, "another process is fitting this run")


def test_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").touch()
    refuse(tmp_path / "a", r"a: cannot be used: ")


def test_log_reads_as_it_was_written(tmp_path):
    with RunLog(tmp_path, 0, 0) as log:
        log.write("train", 10, loss=0.5)
        assert read_log(tmp_path / "log.jsonl") == [{"kind": "train", "step": 10, "loss": 0.5}]


def test_log_drops_what_comes_after_the_checkpoint(tmp_path):
    with RunLog(tmp_path, 0, 0) as log:
        for kind, step in (("train", 10), ("validation", 10), ("train", 20), ("validation", 20)):
            log.write(kind, step)
    RunLog(tmp_path, 20, 10).__exit__(None, None, None)
    found = [(record["kind"], record["step"]) for record in read_log(tmp_path / "log.jsonl")]
    assert found == [("train", 10), ("validation", 10), ("train", 20)]


def test_log_leaves_out_a_line_that_was_cut_off(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"kind": "train", "step": 1}\n{"kind": "tr')
    assert [record["step"] for record in read_log(tmp_path / "log.jsonl")] == [1]


def test_log_is_json_even_without_a_loss(tmp_path):
    with RunLog(tmp_path, 0, 0) as log:
        log.write("train", 10, loss=finite(math.nan), wait_share=finite(0.5))
    record = json.loads((tmp_path / "log.jsonl").read_text())
    assert record["loss"] is None
    assert record["wait_share"] == 0.5


def test_events_on_a_full_disk_are_named(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bratstrain.training.log.SummaryWriter", full)
    with pytest.raises(BratsError, match=r"events: cannot be written: No space left on device"):
        RunLog(tmp_path, 0, 0)


def test_fault_that_ends_a_run_is_not_hidden_by_one_of_closing(tmp_path):
    log = RunLog(tmp_path, 0, 0)
    log._file.close()
    log._file = open("/dev/full", "a")  # noqa: PTH123, SIM115  a disk without room
    log._file.write("text that is not flushed")
    with pytest.raises(KeyboardInterrupt), log:
        raise KeyboardInterrupt


def test_log_on_a_full_disk_is_named(tmp_path):
    log = RunLog(tmp_path, 0, 0)
    log._file.close()
    log._file = open("/dev/full", "a")  # noqa: PTH123, SIM115  a disk without room
    with pytest.raises(BratsError, match=r"/dev/full: cannot be written: No space left"):
        log.write("train", 1)
    with contextlib.suppress(BratsError):
        log.__exit__(None, None, None)
    log._events.close()


def test_tensorboard_gets_the_numbers(tmp_path):
    with RunLog(tmp_path, 0, 0) as log:
        log.write("validation", 10, planes="stored planes", volume_dice={"WT": 0.5})
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert events.Tags()["scalars"] == ["validation/volume_dice/WT"]
    (event,) = events.Scalars("validation/volume_dice/WT")
    assert (event.step, event.value) == (10, 0.5)


def test_flat_names_nested_numbers():
    assert list(flat({"a": 1, "b": {"c": 2.5, "d": "x"}})) == [("a", 1.0), ("b/c", 2.5)]


RECORD = {"loss": None, "slices_per_s": 12.3, "wait_share": 0.25, "memory_mb": 600.0}


def test_bar_is_quiet_without_a_terminal(capfd):
    with Bar(10, 0, shown=True) as bar:
        bar.advance()
        bar.show(RECORD)
        bar.write("validated")
    assert capfd.readouterr() == ("", "")


def test_bar_shows_loss_speed_waiting_and_memory(capfd, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Bar(10, 4, shown=True) as bar:
        bar.advance()
        bar.show(RECORD)
        bar.write("validated")
    out, err = capfd.readouterr()
    assert "loss nan, 12 slices/s, 25% waiting, 600 MB" in err
    assert "5/10" in err
    assert "validated" in out + err
