"""Whether a slice file agrees with itself and with its raw files.

The file alone: contract, tables, digests, and every slice against its checksum. With the raw
files: all of their checksums, and chosen cases voxel by voxel, see
`bratsprep.verification.recompute`.
"""

import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from tqdm import tqdm

from bratsprep.building.subject_groups import find_repeats, pinned
from bratsprep.case import CaseFiles, CaseTables, FileRecord
from bratsprep.config import SUBJECTS
from bratsprep.discovery import discover
from bratsprep.discovery.subject_tables import table_for
from bratsprep.errors import LayoutError, SchemaError
from bratsprep.slicefile.digest import case_digest, file_digest
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source, open_source
from bratsprep.system.threads import cores
from bratsprep.verification.compare_case import compare, same
from bratsprep.verification.recompute import raw_case
from bratsprep.volumes.gunzip import crc32

_BATCH: Final = 32
"""Slices decoded in one call: 8 MB of float16."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked and found right."""

    path: Path
    digest: str
    cases: int
    slices: int
    """Each decoded and held against its checksum."""
    files: int = 0
    """Raw files whose size and checksum are those of the build."""
    compared: int = 0
    """Cases computed again from the raw files, every stored voxel."""

    def __str__(self) -> str:
        text = f"{self.slices:,} slices of {self.cases:,} cases"
        if not self.files:
            return text
        return f"{text}, {self.files:,} raw files, {self.compared:,} cases voxel by voxel"


def verify(
    path: Path | str,
    raw: Path | str | None = None,
    *,
    cases: Sequence[str] = (),
    sample: int = 0,
    case_table: Path | str = "",
    workers: int = 0,
    progress: bool = False,
) -> Verified:
    """Check a slice file, alone or against the raw files that it was built from.

    Args:
        path: slice file.
        raw: folder or archive that it was built from; None leaves it unread.
        cases: ids of cases to compare voxel by voxel. Without `sample`, raw files of other cases
            are not read.
        sample: how many cases to compare, spread evenly over the file, beside `cases`; where
            neither is given, all are. The checksums of all raw files are compared.
        case_table: table of cases that the file was built with; empty for names of files.
        workers: threads; 0 uses every core.
        progress: show bars on standard error where that is a terminal.

    Raises:
        SchemaError: the first difference, with its case, plane, modality, voxel and both values.
        BratsError: the raw files cannot be read.
        ValueError: `cases` names no case of the file, or a number is below 0.
    """
    if workers < 0 or sample < 0:
        raise ValueError(f"workers and sample must be at least 0, got {workers} and {sample}")
    if raw is None and (cases or sample):
        raise ValueError("cases are compared with raw files; name their folder or archive too")
    threads, shown = workers or cores(), progress and sys.stderr.isatty()
    with SliceFile(path) as file:
        chosen = choose(file, cases, sample)
        check_tables(file)
        check_slices(file, threads, shown)
        counts = file.path, file.digest, len(file.cases), len(file)
        if raw is None:
            return Verified(*counts)
        with open_source(Path(raw)) as source:
            read = chosen if cases and not sample else frozenset(map(str, file.cases["id"]))
            n_files = check_raw(
                file,
                source,
                Compared(read, chosen, case_table),
                workers=threads,
                shown=shown,
            )
            return Verified(*counts, n_files, len(chosen))


def choose(file: SliceFile, cases: Sequence[str], sample: int) -> frozenset[str]:
    """Ids of the cases to compare voxel by voxel.

    Raises:
        ValueError: the file holds no such case.
    """
    ids = [str(name) for name in file.cases["id"]]
    unknown = sorted(set(cases) - set(ids))
    if unknown:
        raise ValueError(f"{file.path}: holds no case {', '.join(unknown)}")
    if not cases and not sample:
        return frozenset(ids)
    spread = np.linspace(0, len(ids) - 1, min(sample, len(ids))).round().astype(int)
    return frozenset(cases) | {ids[c] for c in spread}


def check_tables(file: SliceFile) -> None:
    """Hold the tables against each other and against the digests.

    Raises:
        SchemaError: the first row that does not fit.
    """
    pair: tuple[str, object, object] = ("size", file.shape, file.config.window or file.shape)
    same(f"{file.path}: slices", [pair], "its settings")
    digests = []
    for c in range(len(file.cases)):
        tables = tables_of(file, c)
        same(f"{file.path}: case {tables.case['id']}", sums(tables, file), "its other rows")
        check_source(file, tables.case)
        digests.append(case_digest(tables))
        pair = ("case/digest", tables.case["digest"], digests[-1])
        same(f"{file.path}: case {tables.case['id']}", [pair], "its rows")
    pair = ("digest", file.digest, file_digest(file.config, digests))
    same(f"{file.path}", [pair], "its settings and cases")


def check_source(file: SliceFile, row: np.void) -> None:
    """Refuse a list of raw files that is none.

    Raises:
        SchemaError: it is no JSON, or says something else.
    """
    try:
        _ = [FileRecord(**part) for part in json.loads(row["source"])]
    except (ValueError, TypeError) as error:
        raise SchemaError(
            f"{file.path}: case {row['id']}: case/source is {row['source'][:80]!r}; expected name, "
            "size and crc32 of each file as JSON; build it again"
        ) from error


def tables_of(file: SliceFile, c: int) -> CaseTables:
    """Rows of one case, given its row under /case."""
    slices = slice(*np.searchsorted(file.slices["case"], [c, c + 1]))
    planes = slice(*np.searchsorted(file.planes["case"], [c, c + 1]))
    return CaseTables(file.cases[c], file.slices[slices], file.planes[planes])


def sums(tables: CaseTables, file: SliceFile) -> list[tuple[str, object, object]]:
    """Name, value and what it should be of all that follows from other rows of a case."""
    row, size = tables.case, file.shape
    depth, height, width = row["shape"].tolist()
    brain, stored = tables.planes["brain"], tables.slices
    used = np.flatnonzero(brain)
    brain_z = (used.min(initial=depth), used.max(initial=-1) + 1)
    whole = tables.planes["voxels"].sum(axis=0, dtype=np.int64)
    kept = stored["voxels"].sum(axis=0, dtype=np.int64)
    pixels = (np.full(depth, height * width), np.full(len(stored), size[0] * size[1]))
    return [
        ("number of planes", len(brain), depth),
        ("whether it has a scheme", row["scheme"] in file.schemes, bool(row["labelled"])),
        ("case/brain_voxels", row["brain_voxels"], brain.sum(dtype=np.int64)),
        ("case/voxels", row["voxels"], whole),
        ("case/lost_voxels of tumour", row["lost_voxels"][1:], (whole - kept)[1:]),
        ("case/brain_box in z", row["brain_box"][:, 0], brain_z),
        ("size of case/box", row["box"][1] - row["box"][0], (depth, *size)),
        ("sum of plane/voxels", tables.planes["voxels"].sum(axis=1), pixels[0]),
        ("sum of slice/voxels", stored["voxels"].sum(axis=1), pixels[1]),
    ]


def check_slices(file: SliceFile, workers: int, shown: bool) -> None:
    """Decode every slice and hold it against its checksums and counts.

    Raises:
        SchemaError: the first slice that is damaged.
    """
    starts = range(0, len(file), _BATCH)

    def check(start: int) -> int:
        rows = np.arange(start, min(start + _BATCH, len(file)))
        images, labels = file.read(rows)
        for row, image, label in zip(rows, images, labels, strict=True):
            found = file.slices[row]
            where = f"{file.path}: case {file.cases['id'][found['case']]}, plane {found['z']}"
            crc = crc32(image), crc32(label)
            pairs = [("checksum of image and label", crc, found["crc"])]
            same(where, pairs, "slice/crc")
            voxels = np.bincount(label.reshape(-1), minlength=len(file.classes))
            same(where, [("count of each label", voxels, found["voxels"])], "slice/voxels")
        return len(rows)

    if len(file):
        check(0)  # alone: Numba's cache can break when many threads fill it at once
    with (
        ThreadPoolExecutor(workers, "slices") as threads,
        tqdm(total=len(file), unit="slice", disable=not shown) as bar,
    ):
        for count in threads.map(check, starts):
            bar.update(count)


@dataclass(frozen=True, slots=True)
class Compared:
    """Which cases are held against their raw files."""

    read: frozenset[str]
    """Ids of the cases whose raw files are compared by their checksums."""
    chosen: frozenset[str]
    """Those of them that are compared voxel by voxel."""
    case_table: Path | str = ""
    """As in `verify`."""


def check_raw(
    file: SliceFile,
    source: Source,
    compared: Compared,
    *,
    workers: int,
    shown: bool,
) -> int:
    """Hold a slice file against its raw files.

    Args:
        file: slice file.
        source: the raw cases.
        compared: which cases are compared, and how they are found.
        workers: threads.
        shown: show a bar on standard error.

    Returns:
        Raw files that were read.

    Raises:
        SchemaError: the first difference.
        BratsError: the raw files cannot be read.
    """
    choice = replace(file.config.source, case_table=compared.case_table)
    discovered = discover.scan(
        source, unlabelled=file.config.unlabelled, skip=True, **asdict(choice)
    )
    read, chosen = compared.read, compared.chosen
    faults = [case.reason for case in discovered.set_aside if case.id in read]
    if faults:
        raise LayoutError(discover.listing(source, faults))
    places = {str(name): c for c, name in enumerate(file.cases["id"])}
    is_selection = len(read) < len(places)
    found = [files for files in discovered.cases if files.id in read or not is_selection]
    check_same_cases(file, source, read, {files.id for files in found})

    def check(files: CaseFiles) -> int:
        contents = read_unchanged(file, places[files.id], source, files)
        if files.id in chosen:
            tables = tables_of(file, places[files.id])
            scheme, config = file.schemes.get(tables.case["scheme"]), file.config
            case = raw_case(files, contents, scheme, config.background, config.voxel_mm)
            compare(file, tables, case)
        return len(contents)

    stored = [files for files in found if files.id in places]
    if not is_selection:
        check_subjects(file, {files.id: files.subject for files in stored}, workers)
    with ThreadPoolExecutor(workers, "case") as threads:
        checked = threads.map(check, stored)
        return sum(tqdm(checked, total=len(stored), unit="case", disable=not shown))


def check_subjects(file: SliceFile, named: Mapping[str, str], workers: int) -> None:
    """Refuse subjects that follow neither from the names nor from the images of the cases.

    A table of the user is not at hand: subjects of a file that was built with one are not checked.

    Args:
        file: slice file.
        named: subject of each of its cases by its name.
        workers: threads.

    Raises:
        SchemaError: it names the first case with such a subject.
    """
    if file.config.subjects not in SUBJECTS:
        return
    people = table_for(file.config.subjects)
    own = {
        str(row["id"]): people.subject(str(row["id"]), named[row["id"]], row["voxels"].tolist())
        for row in file.cases
    }
    repeats = find_repeats(list(file.cases), own, file.config.repeats, pinned(people, own), workers)
    expected = {**own, **repeats.subjects}
    for row in file.cases:
        where = f"{file.path}: case {row['id']}"
        same(where, [("subject", row["subject"], expected[row["id"]])], "the raw files")


def check_same_cases(
    file: SliceFile, source: Source, stored: frozenset[str], raw: set[str]
) -> None:
    """Refuse raw files with fewer cases than the slice file, or with more that it is silent on.

    Raises:
        SchemaError: it names the first such case.
    """
    with h5py.File(file.path) as opened:
        skipped = {entry["id"] for entry in json.loads(opened.attrs["skipped"])}
    for lacking, where, other in (
        (stored - raw, source.path, file.path),
        (raw - stored - skipped, file.path, source.path),
    ):
        if lacking:
            raise SchemaError(
                f"{where}: {len(lacking)} cases of {other} are missing, such as {min(lacking)}; "
                "name the raw files that the slice file was built from, or build it again"
            )


def read_unchanged(file: SliceFile, c: int, source: Source, files: CaseFiles) -> dict[str, bytes]:
    """Read the raw files of a case, by member.

    Raises:
        SchemaError: they are not those that the slice file was built from.
    """
    contents = {member: source.read(member) for member in files.members}
    recorded = json.loads(file.cases["source"][c])
    where = f"{file.path}: case {files.id}"
    same(where, [("number of raw files", len(recorded), len(contents))], f"{source.path}")
    for member, content in contents.items():
        name = member.rsplit("/", 1)[-1]
        found = asdict(FileRecord(name, len(content), zlib.crc32(content)))
        if found not in recorded:
            built = [record for record in recorded if record["name"] == name] or "other files"
            raise SchemaError(
                f"{source.where(member)}: is {found}; {where} was built from {built}; "
                "get the file again, or build again"
            )
    return contents
