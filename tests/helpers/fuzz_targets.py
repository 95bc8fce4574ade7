"""What is fuzzed: each target takes any bytes, and may raise nothing but our own errors.

Shared by the hypothesis tests and by `python -m benchmarks.fuzz`, which is guided by coverage.
"""

import gzip
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from bratsprep.building.journal import Journal
from bratsprep.config import PrepConfig
from bratsprep.discovery import discover
from bratsprep.errors import BratsError
from bratsprep.labels import UNKNOWN, ClassSet, Scheme, read_scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source, open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import gunzip
from bratsprep.volumes.label_schemes import resolve
from bratsprep.volumes.nifti import codes, intensities, load, parse_header
from bratstrain.runs.checkpoint import Checkpoint, load_network, read_config
from bratstrain.runs.checkpoint import load as load_checkpoint
from tests.helpers import fuzz_seeds, niftis
from tests.helpers.fuzz_seeds import PARTS, WORK

LIMIT = 64 << 20
"""Bytes that a worker's buffers may take."""


class Memory(Source):
    """Files by name, in memory."""

    def __init__(self, files):
        self._files = files
        sizes = {name: (len(files[name]), None) for name in sorted(files)}
        super().__init__(Path("memory"), (sizes, 0, {}), None)

    def _fill(self, name, view):
        view[:] = self._files[name]
        return len(view)


@dataclass(frozen=True)
class Target:
    """One way in."""

    name: str
    run: object
    seeds: object
    """Function that gives a few good inputs."""
    longest: int = 4096
    """Bytes of an input at most."""


def header(content):
    """A NIfTI header of any bytes."""
    found = parse_header(content, "x")
    assert np.isfinite(found.geometry.affine).all()
    assert found.geometry.spacing.shape == (3,)
    assert 0 < found.size_bytes < 2**35


def volume(content):
    """A NIfTI file of any bytes, gzipped or not, as an image and as a label."""
    with Memory({"x.nii.gz": content}) as source:
        head, voxels, _ = load(source, "x.nii.gz", Buffers(LIMIT), "image0")
        assert voxels.shape == head.shape[::-1]
        with np.errstate(all="ignore"):
            assert intensities(voxels, head).dtype in ("i2", "f4", "f8")
        codes(voxels, head, "x")


def inflate(content):
    """A gzip stream; its first two bytes say how much is expected."""
    size = int.from_bytes(content[:2], "little") + 1
    packed = memoryview(content[2:])
    gunzip.gunzip_head(packed, 300, "x")
    gunzip.gunzip_into(packed, np.empty(size, np.uint8), "x")


def archive(suffix):
    """A tar or zip archive of any bytes: listed, and every member read."""

    def run(content):
        path = WORK / f"x{suffix}"
        path.write_bytes(gzip.compress(content, 1) if suffix == ".tar.gz" else content)
        with open_source(path) as source:
            for name, size in source.members.items():
                assert ".." not in name.split("/")
                assert not name.startswith("/")
                if size < LIMIT:
                    try:
                        source.read(name)
                    except BratsError:
                        continue
        assert {each.name for each in WORK.iterdir()} <= KNOWN

    return run


KNOWN = {"x.tar", "x.tar.gz", "x.zip", "x.h5", "x.pt", "x.h5.journal", "x.toml"}


def manifest(content):
    """A dataset.json of any bytes."""
    names = ("imagesTr/BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz", "imagesTr/a_0000.nii.gz")
    scan = niftis.content(niftis.numbers("u1"))
    with Memory({"dataset.json": content} | dict.fromkeys(names, scan)) as source:
        for skip in (False, True):
            found = discover.scan(source, unlabelled=True, skip=skip)
            resolve(source, found.cases, None)


def names(content):
    """File names of any characters."""
    listed = content.decode("utf-8", "replace").split("\n")
    scan = niftis.content(niftis.numbers("u1"))
    files = {f"{name}.nii".replace("//", "/").lstrip("/"): scan for name in listed[:40]}
    with Memory(files) as source:
        for case in discover.scan(source, unlabelled=True, skip=True).cases:
            assert "/" not in case.id


def slice_file(content):
    """A slice file of any bytes: tables, and every slice."""
    path = WORK / "x.h5"
    path.write_bytes(content)
    with SliceFile(path) as file:
        for row in range(min(len(file), 8)):
            try:
                file.read(np.array([row]))
            except BratsError:
                continue
        for case in range(min(len(file.cases), 2)):
            if np.prod(file.cases["shape"][case].astype(float)) < LIMIT:
                file.label_volume(case)


def chunk(content):
    """Any bytes in the place of a chunk, read as stored and widened, alone and in a batch."""
    content = content or b"\0"  # HDF5 writes no chunk of nothing
    path = WORK / "x.h5"
    path.write_bytes(fuzz_seeds.built())
    with h5py.File(path, "r+") as file:
        file["slice/image"].id.write_direct_chunk((0, 0, 0, 0), content)
        file["slice/label"].id.write_direct_chunk((1, 0, 0), content)
    with SliceFile(path) as file:
        n = len(file)
        for rows in ([0], [1], [2, 0], list(range(n))):
            for dtype in (file.dtype, np.float32):
                image = np.empty((len(rows), len(file.modalities), *file.shape), dtype)
                label = np.empty((len(rows), *file.shape), np.uint8)
                with suppress(BratsError):
                    file.read_into(np.array(rows), image, label)


def checkpoint(content):
    """A checkpoint of any bytes."""
    path = WORK / "x.pt"
    path.write_bytes(content)
    load_checkpoint(path, Checkpoint)


def pickled(content):
    """A checkpoint whose archive is sound and whose pickle is any bytes."""
    path = WORK / "x.pt"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("x/data.pkl", content)
        for name, part in PARTS.items():
            if not name.endswith("data.pkl"):
                target.writestr(f"x/{name.partition('/')[2]}", part)
    load_network(path)


def settings(content):
    """Settings of a run and of a build, as JSON of any bytes."""
    text = content.decode("utf-8", "replace")
    # Whoever reads it turns these into an error that names the file.
    with suppress(ValueError, TypeError, AttributeError, RecursionError):
        PrepConfig.from_json(text)
    read_config(Path("x"), text)


def label_scheme(content):
    """A label scheme of any bytes, as TOML; what is read comes back from JSON."""
    path = WORK / "x.toml"
    path.write_bytes(content)
    read = read_scheme(path)
    assert Scheme.from_json(read.to_json()) == read
    assert read.table().max() == UNKNOWN


def class_text(content):
    """Classes and a scheme as JSON of any bytes."""
    text = content.decode("utf-8", "replace")
    for kind in (ClassSet, Scheme):
        # Whoever reads it turns these into an error that names the file.
        with suppress(ValueError, RecursionError):
            kind.from_json(text)


def journal(content):
    """A journal of any bytes; its checksums are made to fit."""
    lines = [b"%08x %s\n" % (zlib.crc32(line), line) for line in content.split(b"\n")]
    (WORK / "x.h5.journal").write_bytes(b"".join(lines))
    with Journal(WORK / "x.h5") as read:
        assert isinstance(read.entries, list)


torch.set_num_threads(1)
TARGETS = {
    target.name: target
    for target in (
        Target("header", header, lambda: [each[:544] for each in fuzz_seeds.scans()], 1024),
        Target("volume", volume, fuzz_seeds.volumes),
        Target("inflate", inflate, fuzz_seeds.streams),
        Target("tar", archive(".tar"), fuzz_seeds.tars, 16_384),
        Target("tar.gz", archive(".tar.gz"), fuzz_seeds.tars, 16_384),
        Target("zip", archive(".zip"), fuzz_seeds.zips),
        Target("manifest", manifest, fuzz_seeds.manifests),
        Target("names", names, fuzz_seeds.listings),
        Target("slice file", slice_file, fuzz_seeds.slice_files, 200_000),
        Target("chunk", chunk, fuzz_seeds.chunks, 8192),
        Target("checkpoint", checkpoint, fuzz_seeds.saved, 65_536),
        Target("pickle", pickled, fuzz_seeds.pickles, 16_384),
        Target("settings", settings, fuzz_seeds.configs),
        Target("scheme", label_scheme, fuzz_seeds.schemes),
        Target("classes", class_text, fuzz_seeds.class_texts),
        Target("journal", journal, fuzz_seeds.journals),
    )
}


def attempt(name, content):
    """Feed bytes to a target; gives what our error said, or nothing.

    Anything but a BratsError, warnings of arithmetic included, is left to fly.
    """
    try:
        TARGETS[name].run(content)
    except BratsError as error:
        return str(error) or "empty"
    return ""
