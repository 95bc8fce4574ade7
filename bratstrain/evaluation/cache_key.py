"""Digest of all that an evaluation follows from; equal digests, equal scores.

It lies in every evaluation's JSON, so that a page need not predict what was predicted before.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratstrain.apply_config import ApplyConfig
from bratstrain.inference.small_components import read_cleanup
from bratstrain.runs.files import SPLIT, read_text, versions
from bratstrain.runs.fitted import best_of


def inputs_digest(
    run: Path, where: SliceFile | Source, part: str, apply: ApplyConfig, *looked_at: object
) -> str:
    """Digest weights, split, settings, software and scans.

    Args:
        run: run folder.
        where: slice file or raw cases, open.
        part: `validation`, `test`, `train` or `all`.
        apply: how the networks are applied.
        *looked_at: what else decides the tables, such as conventions.

    Raises:
        BratsError: the folder is no finished run, or sizes of the clean-up are not tuned.
    """
    parts = (
        sha256(best_of(run).read_bytes()),
        sha256(read_text(run / SPLIT).encode()),
        str(read_cleanup(run)) if apply.cleanup else "",
        part,
        asdict(apply),
        versions(),
        where.digest if isinstance(where, SliceFile) else listing(where),
        list(map(str, looked_at)),
    )
    return sha256(json.dumps(parts, sort_keys=True).encode())


def listing(source: Source) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change of each file of a source, which stand for its content.

    An archive's members share its time.
    """
    if source.path.is_dir():
        return [
            (name, size, (source.path / name).stat().st_mtime_ns)
            for name, size in source.members.items()
        ]
    time = source.path.stat().st_mtime_ns
    return [(name, size, time) for name, size in source.members.items()]


def sha256(content: bytes) -> str:
    """SHA-256 as hex digits."""
    return hashlib.sha256(content).hexdigest()
