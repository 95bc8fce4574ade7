"""The folder that an evaluation is written to.

It names the data set and the chosen cases, so that no evaluation replaces another. Nothing here
needs torch.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bratsprep.config import FilesConfig
from bratsprep.discovery.case_table_rows import table_digest
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.volumes.label_schemes import chosen_scheme
from bratstrain.apply_config import ApplyConfig

DIGITS: Final = 8
"""Hexadecimal digits of a digest in the name of a folder."""
MAX_NAME: Final = 60
"""Characters of a data set's or a case's name in the name of a folder."""
DATA_SUFFIX: Final = re.compile(r"\.(h5|hdf5|zip|tgz|tar|tar\.gz)$", re.IGNORECASE)


TAGGED: Final = ("exclude", "case_table")
"""Settings that decide which raw files are looked at, and so name the folder of an evaluation."""


def evaluation_name(where: SliceFile | Source, part: str, apply: ApplyConfig) -> str:
    """Name an evaluation of a run by the part of its split and how the networks are applied."""
    kind = "slices" if isinstance(where, SliceFile) else "raw"
    flips = [apply.tta] if apply.tta != "none" else []
    cleanup = ["cleanup"] if apply.cleanup else []
    masks = ["brain-mask"] if apply.brain_mask else []
    return "-".join([part, kind, *flips, *cleanup, *masks, *files_tag(apply)])


def settings_facts(files: FilesConfig) -> dict[str, Any]:
    """Settings as JSON takes them: files by the digest of their content, no choice that is empty.

    Raises:
        LabelError: the file of a label scheme cannot be read, or is none.
        LayoutError: the table of cases cannot be read.
        ValueError: there is no such label scheme.
    """
    facts = asdict(files) | {"labels": chosen_scheme(files.labels)[0]}
    for name in TAGGED:
        if not getattr(files, name):
            del facts[name]
    if files.case_table:
        facts["case_table"] = table_digest(files.case_table)
    return facts


def files_tag(files: FilesConfig) -> list[str]:
    """Name what raw files were taken for, where that was not left to their names."""
    chosen = {name: value for name, value in settings_facts(files).items() if name in TAGGED}
    if not chosen:
        return []
    return [f"files-{sha256(json.dumps(chosen, sort_keys=True).encode())[:DIGITS]}"]


def evaluation_folder(
    parent: Path, name: str, where: SliceFile | Source, cases: Sequence[str]
) -> Path:
    """Name the folder of an evaluation.

    Args:
        parent: run folder, or the folder of the label files.
        name: as `evaluation_name` gives it, or that of the label files.
        where: slice file or raw cases, open.
        cases: ids of the chosen cases; empty for all.

    Returns:
        `evaluation-NAME-DATASET-DIGEST`, with `-case-ID` or the number and a digest of several
        chosen cases behind it.
    """
    if isinstance(where, SliceFile):
        digest = sha256(where.digest.encode())
    else:
        digest = sha256(json.dumps(listing(where)).encode())
    dataset = plain(DATA_SUFFIX.sub("", where.path.resolve().name))
    tag = [plain(name), dataset, digest[:DIGITS]]
    if len(cases) == 1:
        tag += ["case", plain(cases[0])]
    elif cases:
        tag += [str(len(cases)), "cases", sha256("\n".join(sorted(cases)).encode())[:DIGITS]]
    return parent / "-".join(["evaluation", *tag])


def plain(name: str) -> str:
    """Replace what is no letter, digit, dot, plus, hyphen or underscore, and shorten the name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name)[:MAX_NAME]


def listing(source: Source) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of each file of a source, which stand for its content.

    An archive's members share its time.
    """
    return [(name, size, source.times_ns(name)[0]) for name, size in source.members.items()]


def sha256(content: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
