"""A build in parts has the bytes of a plain one, whatever happens to the parts."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest

import bratsprep
from bratsprep.building import builder, part_writer
from bratsprep.building.parts import deal
from bratsprep.discovery.discover import scan
from bratsprep.errors import BuildError
from bratsprep.part import Part
from bratsprep.sources.source import open_source
from tests.helpers.stops import stop_after

WINDOW = "48x40"
N_CASES = 7


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "raw",
        cases=N_CASES, shape=(44, 50, 20), layout="brats2020", workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out.h5"
    bratsprep.build(raw, out, crop=WINDOW, workers=1)
    return out.read_bytes()


def build(raw, out, **settings):
    return bratsprep.build(raw, out, **{"crop": WINDOW, "workers": 1} | settings)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("of", [1, 3, N_CASES + 2])
def test_joined_parts_have_the_bytes_of_a_plain_build(raw, whole, tmp_path, of):
    for number in range(of, 0, -1):
        build(raw, tmp_path / "out.h5", part=f"{number}/{of}")
    summary = build(raw, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == whole
    assert summary.resumed == N_CASES
    assert summary.parts == [f"{of} of {of} joined"]
    assert left(tmp_path) == ["out.h5", "out.h5.sources"]


def test_a_missing_part_is_named_and_converted(raw, whole, tmp_path):
    for number in (1, 4):
        build(raw, tmp_path / "out.h5", part=f"{number}/4")
    summary = build(raw, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == whole
    n_left = N_CASES - summary.resumed
    text = (
        "2 of 4 joined; parts 2 and 3 are missing or unfinished: "
        f"converting {n_left} cases of them here"
    )
    assert summary.parts == [text]


def test_an_unfinished_part_loses_its_other_cases_alone(raw, whole, tmp_path, monkeypatch):
    undo = stop_after(monkeypatch, part_writer.PartWriter, 2, BuildError("stopped"))
    with pytest.raises(BuildError, match="stopped"):
        build(raw, tmp_path / "out.h5", part="1/2")
    undo()
    build(raw, tmp_path / "out.h5", part="2/2")
    summary = build(raw, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == whole
    assert 0 < N_CASES - summary.resumed < N_CASES // 2
    assert "part 1 is missing or unfinished" in summary.parts[0]


def test_a_part_goes_on_where_it_was_stopped(raw, whole, tmp_path, monkeypatch):
    undo = stop_after(monkeypatch, part_writer.PartWriter, 2, BuildError("stopped"))
    with pytest.raises(BuildError, match="stopped"):
        build(raw, tmp_path / "out.h5", part="1/1")
    undo()
    with (tmp_path / "out.h5.part-1-of-1.partial").open("ab") as file:
        file.write(b"half a case")
    assert build(raw, tmp_path / "out.h5", part="1/1").resumed == 2
    build(raw, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_a_damaged_part_is_converted_again(raw, whole, tmp_path):
    build(raw, tmp_path / "out.h5", part="1/1")
    path = tmp_path / "out.h5.part-1-of-1.partial"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert build(raw, tmp_path / "out.h5").resumed == N_CASES - 1
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_an_interrupted_join_converts_no_case_again(raw, whole, tmp_path, monkeypatch):
    """Its parts are still there; a case that was damaged in one stands in the journal."""
    for number in (1, 2):
        build(raw, tmp_path / "out.h5", part=f"{number}/2")
    path = tmp_path / "out.h5.part-2-of-2.partial"
    path.write_bytes(b"\0" + path.read_bytes()[1:])

    def stop(*_):
        raise BuildError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(builder, "check_any_left", stop)
        with pytest.raises(BuildError, match="stopped"):
            build(raw, tmp_path / "out.h5")
    assert build(raw, tmp_path / "out.h5").resumed == N_CASES
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_a_case_without_a_slice_to_store_is_joined(raw, tmp_path):
    own = tmp_path / "raw"
    shutil.copytree(raw, own)
    path = sorted(own.rglob("*seg.nii.gz"))[2]
    label = nibabel.load(path)
    nibabel.Nifti1Image(np.zeros(label.shape, np.uint8), label.affine).to_filename(path)
    build(own, tmp_path / "plain.h5", negatives=0)
    build(own, tmp_path / "out.h5", negatives=0, part="1/1")
    assert build(own, tmp_path / "out.h5", negatives=0).resumed == N_CASES
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


def test_a_part_of_other_settings_is_refused(raw, tmp_path):
    build(raw, tmp_path / "out.h5", part="1/2", slices="brain")
    with pytest.raises(BuildError, match=r"part-1-of-2\.journal: .*slices brain, now tumour"):
        build(raw, tmp_path / "out.h5")


def test_a_part_of_other_software_is_refused(raw, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(part_writer, "versions", lambda _: {"numpy": "0.1"})
        build(raw, tmp_path / "out.h5", part="1/2")
    with pytest.raises(BuildError, match=r"other settings or software \(.*numpy 0\.1, now"):
        build(raw, tmp_path / "out.h5")


def test_a_part_is_not_gone_on_with_under_other_settings(raw, tmp_path):
    build(raw, tmp_path / "out.h5", part="1/2", slices="brain")
    with pytest.raises(BuildError, match="start the part over with --force"):
        build(raw, tmp_path / "out.h5", part="1/2")
    build(raw, tmp_path / "out.h5", part="1/2", force=True)


def test_force_forgets_all_parts(raw, whole, tmp_path):
    build(raw, tmp_path / "out.h5", part="1/2", slices="brain")
    summary = build(raw, tmp_path / "out.h5", force=True)
    assert (tmp_path / "out.h5").read_bytes() == whole
    assert summary.resumed == 0
    assert left(tmp_path) == ["out.h5", "out.h5.sources"]


def test_no_part_is_built_beside_a_finished_file(raw, tmp_path):
    build(raw, tmp_path / "out.h5")
    with pytest.raises(BuildError, match=r"out\.h5: exists already; the command without --part"):
        build(raw, tmp_path / "out.h5", part="1/2")


def test_a_window_for_every_brain_cannot_be_found_by_one_part(raw, tmp_path):
    with pytest.raises(ValueError, match="crop brain has to read every case"):
        build(raw, tmp_path / "out.h5", part="1/2", crop="brain")


def test_a_part_that_is_being_built_is_not_joined(raw, tmp_path):
    writer = part_writer.PartWriter(
        tmp_path / "out.h5", Part(1, 2), bratsprep.PrepConfig(), force=False
    )
    with pytest.raises(BuildError, match=r"part-1-of-2: is being written by another process"):
        build(raw, tmp_path / "out.h5")
    writer.close()


def test_a_changed_case_of_a_part_is_converted_again(raw, tmp_path):
    copy = tmp_path / "raw"
    subprocess.run(["cp", "-r", raw, copy], check=True)
    build(copy, tmp_path / "out.h5", part="1/1")
    first, second = sorted(copy.rglob("*_flair.nii.gz"))[:2]
    first.write_bytes(second.read_bytes())
    assert build(copy, tmp_path / "out.h5").resumed == N_CASES - 1
    build(copy, tmp_path / "plain.h5")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


def test_a_faulty_case_is_set_aside_as_in_a_plain_build(raw, tmp_path):
    copy = tmp_path / "raw"
    subprocess.run(["cp", "-r", raw, copy], check=True)
    next(copy.rglob("*_t2.nii.gz")).write_bytes(b"no scan")
    for number in (1, 2):
        build(copy, tmp_path / "out.h5", part=f"{number}/2", on_error="skip")
    summary = build(copy, tmp_path / "out.h5", on_error="skip")
    assert summary.parts == ["2 of 2 joined"]
    assert len(summary.skipped) == 1
    build(copy, tmp_path / "plain.h5", on_error="skip")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


def test_parts_share_the_bytes_evenly(raw):
    with open_source(raw) as source:
        cases = scan(source).cases
        dealt = deal(source, cases, 3)
        loads = [sum(source.members[m] for files in part for m in files.members) for part in dealt]
    assert sorted(files.id for part in dealt for files in part) == [files.id for files in cases]
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    assert max(loads) < 2 * min(loads)


def test_the_summary_of_a_part_says_what_comes_next(raw, tmp_path):
    lines = build(raw, tmp_path / "out.h5", part="2/2").lines()
    assert re.search("part 2/2 is finished: [34] of 7 cases", lines[0])
    assert "without --part" in lines[1]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_three_processes_of_which_one_is_killed(raw, whole, tmp_path):
    command = [
        sys.executable, "-m", "bratsprep", "build", str(raw), str(tmp_path / "out.h5"),
        "--crop", WINDOW, "--workers", "1",
    ]  # fmt: skip
    processes = [subprocess.Popen([*command, "--part", f"{number}/3"]) for number in (1, 2, 3)]
    journal = tmp_path / "out.h5.part-2-of-3.journal"
    while processes[1].poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") > 1:
            os.kill(processes[1].pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    assert [process.wait(600) for process in processes][::2] == [0, 0]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert " of 3 joined" in done.stdout
    assert (tmp_path / "out.h5").read_bytes() == whole
