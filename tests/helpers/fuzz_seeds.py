"""Good inputs that fuzzing begins with, a few of each kind."""

import atexit
import gzip
import io
import json
import os
import shutil
import struct
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import h5py

import bratsprep
from bratsprep.config import PrepConfig
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.networks.build import build_model
from bratstrain.runs.checkpoint import Checkpoint, Weights
from bratstrain.runs.checkpoint import save as save_checkpoint
from tests.helpers import class_sets, niftis, slicefiles
from tests.helpers.class_sets import GLIOMA, SCHEME

WORK = Path(tempfile.mkdtemp(prefix="fuzz"))
"""Where inputs become files; removed at the end."""
atexit.register(shutil.rmtree, WORK, ignore_errors=True)
CONFIG = TrainConfig(model=ModelConfig(width=1, depth=2))


def scans():
    """NIfTI files of a few makes."""
    yield niftis.content(niftis.numbers("i2"))
    yield niftis.content(niftis.numbers("u1"), version=2, order=">")
    yield niftis.content(niftis.numbers("f4"), slope=1.5e-5, inter=0.5, comment=b"hello")
    yield niftis.content(niftis.numbers("i2", (2, 2, 2, 4)), sform=0)


def volumes():
    """NIfTI files, plain and gzipped."""
    for content in scans():
        yield content
        yield gzip.compress(content, mtime=0)


def streams():
    """Gzip streams behind their size."""
    for plain in (b"a", bytes(500), os.urandom(300)):
        yield struct.pack("<H", len(plain) - 1) + gzip.compress(plain, 6, mtime=0)
    yield struct.pack("<H", 9) + gzip.compress(b"hello") * 2


def tars():
    """Tar archives in each format, with long names."""
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=kind) as made:
            for name in ("a.nii", "deep/" * 15 + "b" * 90 + ".nii.gz", "ü.json"):
                info = tarfile.TarInfo(name)
                info.size = 5
                made.addfile(info, io.BytesIO(b"hello"))
        yield target.getvalue()


def zips():
    """Zip archives, stored and deflated."""
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", kind) as made:
            made.writestr("a/b.nii", bytes(100))
            made.writestr("dataset.json", "{}")
        yield target.getvalue()


def manifests():
    """Forms of dataset.json."""
    labels = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
    four = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    pair = {"image": "./imagesTr/BRATS_001.nii.gz", "label": "./labelsTr/BRATS_001.nii.gz"}
    yield json.dumps({"modality": four, "labels": labels, "training": [pair]}).encode()
    regions = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "et": [3]}
    yield json.dumps({"channel_names": four, "labels": regions}).encode()


def listings():
    """Names of a few releases."""
    for joint, roles in (("_", "flair t1 t1ce t2 seg"), ("-", "t2f t1n t1c t2w seg")):
        key = "BraTS20_Training_001" if joint == "_" else "BraTS-GLI-00001-000"
        yield "\n".join(f"{key}/{key}{joint}{role}" for role in roles.split()).encode()


def slice_files():
    """Slice files by h5py."""
    for i, changes in enumerate(({}, {"deflated": False}, {"dtype": "<i2"})):
        slicefiles.write(WORK / "seed.h5", **changes)
        yield (WORK / "seed.h5").read_bytes()
        (WORK / "seed.h5").unlink()
        assert i < 3


@cache
def built():
    """Bytes of a slice file of the project's own, with its own deflate."""
    with tempfile.TemporaryDirectory() as folder:
        raw = bratsprep.phantoms(Path(folder, "raw"), cases=1, shape=(24, 24, 12), workers=1)
        bratsprep.build(raw, Path(folder, "built.h5"), workers=1, crop="16x16")
        return Path(folder, "built.h5").read_bytes()


def chunks():
    """Chunks of the first image and of the last one."""
    with h5py.File(io.BytesIO(built())) as file:
        image = file["slice/image"]
        for row in (0, len(image) - 1):
            yield image.id.read_direct_chunk((row, 0, 0, 0))[1]


def saved():
    """Bytes of a small `best.pt` and a small `last.pt`."""
    network = dict(build_model(CONFIG.model, 1).state_dict())
    text = CONFIG.to_json()
    kinds = (
        Checkpoint(text, "d", "s", {"step": 3}, network, {}, 0, {}, {}),
        Weights(
            config=text,
            data_digest="d",
            split_digest="s",
            preparation=PrepConfig().to_json(),
            classes=GLIOMA.to_json(),
            schemes=json.dumps({SCHEME.name: json.loads(SCHEME.to_json())}),
            shape=[8, 8],
            step=3,
            score=0.5,
            network=network,
        ),
    )
    for content in kinds:
        save_checkpoint(WORK / "seed.pt", content)
        yield (WORK / "seed.pt").read_bytes()
        (WORK / "seed.pt").unlink()


def pickles():
    """The pickle in a small `best.pt`, and one that would run code."""
    yield next(part for name, part in PARTS.items() if name.endswith("data.pkl"))
    yield b"cposix\nsystem\n(S'true'\ntR."


def configs():
    """Settings as JSON."""
    yield CONFIG.to_json().encode()
    yield PrepConfig().to_json().encode()


def schemes():
    """Label schemes as TOML."""
    yield class_sets.SIX_TOML.encode()
    yield class_sets.ONE_TOML.encode()


def class_texts():
    """Classes and schemes as JSON."""
    yield GLIOMA.to_json().encode()
    yield class_sets.SIX.to_json().encode()


def journals():
    """Records of a journal, without their checksums."""
    yield b'{"key": "abc"}'
    yield b'{"file": "x.h5.partial", "images": [[1, 2, 3]], "labels": []}'


def parts():
    """Members of the archive that a small `best.pt` is."""
    with zipfile.ZipFile(io.BytesIO(list(saved())[1])) as source:
        return {name: source.read(name) for name in source.namelist()}


PARTS = parts()
