"""Many rounds in one process, one core, and memory that keeps its word."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import bratsprep
from bratsprep.building.memory_budget import BASE_BYTES, largest_need
from bratsprep.config import PrepConfig
from bratsprep.discovery.discover import scan
from bratsprep.sources.source import open_source
from tests.helpers import fitfiles
from tests.helpers.oracles import resampled

LONG = """
import json, sys
from dataclasses import asdict
import torch
from benchmarks import longrun
torch.set_num_threads(1)
print(json.dumps([asdict(level) for level in longrun.go_round(20, every=1)]))
"""
LIMITED = """
import pathlib, sys, bratsprep
settings = {"workers": int(sys.argv[4]), "max_ram": int(sys.argv[3])}
bratsprep.build(sys.argv[1], sys.argv[2], background="any", **settings)  # noise without a head
said = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()
print(int(said[0]) * 1024)
"""
"""The peak is that of /proc: getrusage gives a new process the peak of the one that started it."""
ONE_CORE = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import bratsprep, bratstrain, torch
torch.set_num_threads(1)
bratsprep.build(sys.argv[1], sys.argv[2] + "/x.h5", crop="32x32")
bratstrain.fit(sys.argv[2] + "/x.h5", sys.argv[2] + "/run", **SETTINGS)
"""
in_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="no peak is kept here")
SETTINGS = fitfiles.SMALL | {"steps": 4, "validate_steps": 2}


def child(code, *arguments, python=sys.executable):
    """Run code in a process of its own; gives what it said."""
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "raw", cases=4, shape=(32, 32, 16), workers=1
    )


@pytest.mark.slow
def test_twenty_rounds_leave_memory_threads_and_files_level(programs):
    levels = json.loads(child(LONG, python=programs / "python"))
    first, last = levels[10], levels[-1]  # the first two that did everything are over
    for name in ("threads", "system_threads", "files"):
        assert last[name] == first[name], name
    assert last["resident_mb"] < first["resident_mb"] + 8
    assert last["objects"] < first["objects"] + 500


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_one_core_gives_the_same_bytes(raw, programs, tmp_path):
    code = ONE_CORE.replace("SETTINGS", repr(SETTINGS))
    folders = [tmp_path / "one", tmp_path / "all"]
    for folder, text in zip(
        folders, (code, code.replace("os.sched_setaffinity", "id; print")), strict=True
    ):
        folder.mkdir()
        child(text, raw, folder, python=programs / "python")
    files = [hashlib.sha256((folder / "x.h5").read_bytes()).hexdigest() for folder in folders]
    assert files[0] == files[1]
    last = [fitfiles.content(folder / "run" / "last.pt") for folder in folders]
    assert last[0] == last[1]


def large_case(folder, name, dtypes, codes):
    """Write one case of 96 x 112 x 80 noise voxels, each modality of its own type."""
    generator = np.random.default_rng(len(name))
    shape = (96, 112, 80)
    label = np.zeros(shape, np.uint8)
    label[30:60, 40:70, :] = 2
    kinds = [("flair", dtypes[0]), ("t1", dtypes[1]), ("t1ce", dtypes[2]), ("t2", dtypes[3])]
    place = folder / name
    place.mkdir(parents=True)
    for suffix, dtype in [*kinds, ("seg", "u1")]:
        voxels = label if suffix == "seg" else generator.integers(1, 900, shape).astype(dtype)
        turned, affine = resampled(voxels, np.eye(4), codes)
        image = nib.Nifti1Image(turned, affine, dtype=turned.dtype)
        nib.save(image, place / f"{name}_{suffix}.nii.gz")


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """Cases of the size of scans, whose kernels Numba has compiled."""
    folder = tmp_path_factory.mktemp("full")
    raw = bratsprep.phantoms(folder / "raw", cases=4, dtype="float32")
    bratsprep.build(raw, folder / "first.h5", background="any")
    return raw


@in_proc
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_estimate_of_memory_is_at_most_15_percent_above_the_peak(full_size, tmp_path, workers):
    peak = int(child(LIMITED, full_size, tmp_path / "out.h5", 0, workers))
    with open_source(full_size) as source:
        estimate = BASE_BYTES + workers * largest_need(source, scan(source).cases, PrepConfig())
    assert peak <= estimate <= 1.15 * peak


@in_proc
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtypes", "codes"),
    [
        (("i2",) * 4, "LPS"),
        (("f8",) * 4, "LPS"),
        (("i2", "f4", "i2", "f8"), "SPL"),
    ],
    ids=["plain", "float64", "mixed and turned"],
)
def test_memory_stays_below_max_ram(tmp_path, dtypes, codes):
    for number in range(4):
        large_case(tmp_path / "raw", f"BraTS20_Training_{number:03}", dtypes, codes)
    bratsprep.build(tmp_path / "raw", tmp_path / "first.h5", background="any")  # compiles, once
    for workers, spare_mb in ((1, 110), (3, 330)):
        limit = BASE_BYTES + (spare_mb << 20)
        peak = int(child(LIMITED, tmp_path / "raw", tmp_path / f"{workers}.h5", limit, workers))
        assert peak < limit
