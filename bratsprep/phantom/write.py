"""Phantoms to disk, named as in each release; the same settings give the same bytes."""

import json
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from isal import igzip
from numpy.typing import NDArray

from bratsprep.phantom.file_formats import GZIP_LEVEL, file_bytes, write_planes
from bratsprep.phantom.layouts import Names, PhantomLayout, Written


def write_case(
    folder: Path,
    layout: PhantomLayout,
    names: Names,
    images: NDArray[Any],
    raw: NDArray[Any],
    written: Written,
) -> None:
    """Write the files of one case.

    Args:
        folder: of the set.
        layout: how to name them.
        names: of the case.
        images: (m, z, y, x) of the dtype to store, RAS+, a modality each.
        raw: (z, y, x) of an integer dtype, RAS+, label values of the scheme to write.
        written: modalities and suffix.
    """
    end, patterns = written.end, layout.patterns(written.modalities)
    if patterns[0].endswith(".h5"):
        write_planes(folder / names.file(patterns[0], end), images, raw, names.is_labelled)
        return
    parts = [images] if layout.is_4d else list(images)
    files = [(names.file(p, end), v) for p, v in zip(patterns, parts, strict=True)]
    files += [(names.file(p, end), images[0]) for p in layout.others]
    if names.is_labelled:
        files.append((names.file(layout.label, end), raw.astype(layout.label_dtype)))
    for file, volume in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_bytes(path.name, volume, layout.is_lps))


def write_index(
    folder: Path, layout: PhantomLayout, names: Sequence[Names], written: Written
) -> None:
    """Write `dataset.json` where the layout has one.

    Args:
        folder: of the set.
        layout: of the set.
        names: every case.
        written: label scheme, modalities and suffix.
    """
    if layout.index is not None:
        text = json.dumps(layout.index(names, written), indent=1)
        (folder / "dataset.json").write_text(text + "\n", encoding="utf-8")


def pack_folders(folder: Path, kind: str) -> None:
    """Turn each folder of a set into an archive of its name beside it.

    Args:
        folder: of the set.
        kind: `tar`, `tar.gz` or `zip`; empty to leave them.
    """
    for inner in sorted(folder.iterdir()) if kind else ():
        if inner.is_dir():
            pack(inner, inner.name, inner.with_name(f"{inner.name}.{kind}"), kind)


def pack(folder: Path, name: str, target: Path, kind: str) -> Path:
    """Give a finished set its final name, or move it into an archive.

    Args:
        folder: written; gone afterwards.
        name: of the one folder at the archive's top.
        target: the final folder, or the archive.
        kind: `tar`, `tar.gz` or `zip`; empty for a folder.

    Returns:
        `target`.
    """
    if not kind:
        if target.exists():
            target.rmdir()  # empty, or the call would have been refused
        return folder.rename(target)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    members = [(path, f"{name}/{path.relative_to(folder).as_posix()}") for path in files]
    half = target.with_name(f"{target.name}.partial")
    if kind == "zip":
        _zip(half, members)
    else:
        _tar(half, members, kind == "tar.gz")
    shutil.rmtree(folder)
    return half.rename(target)


def _zip(target: Path, members: list[tuple[Path, str]]) -> None:
    """Store files in a zip, all of the first day that a zip knows."""
    with zipfile.ZipFile(target, "w") as archive:
        for path, name in members:
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())


def _tar(target: Path, members: list[tuple[Path, str]], is_gzip: bool) -> None:
    """Store files in a tar of no owner and no date."""
    with ExitStack() as stack:
        out: Any = stack.enter_context(target.open("wb"))
        if is_gzip:
            out = stack.enter_context(igzip.IGzipFile("", "wb", GZIP_LEVEL, out, 0))
        archive = stack.enter_context(tarfile.open(fileobj=out, mode="w"))
        for path, name in members:
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(member, content)
