"""The work on one case: what is needed for it, and what comes of it, on any thread or machine."""

from contextlib import ExitStack
from dataclasses import dataclass

from bratsprep.building.convert import Converted, Frame, cut, pack
from bratsprep.case import Box, CaseFiles
from bratsprep.labels import Scheme
from bratsprep.slicefile.chunks import Pages
from bratsprep.sources.source import Source
from bratsprep.system.memory import Pool
from bratsprep.volumes.case_volumes import Asked, case_notes, read_scan


@dataclass(frozen=True, slots=True)
class Bench:
    """Where cases are converted: an open source, and memory that threads take turns with."""

    source: Source
    scans: Pool
    """For whole cases."""
    cuts: Pool
    """For cut planes."""
    pages: Pages
    """For chunks."""


@dataclass(frozen=True, slots=True)
class Order:
    """How every case of a build is read and cut; it can be pickled."""

    frame: Frame
    asked: Asked


@dataclass(frozen=True, slots=True)
class Made:
    """What comes of one case."""

    converted: Converted
    notes: tuple[str, ...]
    """What is unusual about it."""
    remarks: tuple[str, ...]
    """Assumptions about its files."""


def brain_box(bench: Bench, order: Order, files: CaseFiles) -> Box:
    """Brain box of a case.

    Args:
        bench: where it is read.
        order: how it is read.
        files: the case.

    Raises:
        BratsError: the case cannot be read.
    """
    with bench.scans.borrow() as buffers:
        return read_scan(files, bench.source, buffers, None, order.asked).brain_box


def convert(bench: Bench, order: Order, files: CaseFiles, scheme: Scheme | None) -> Made:
    """Read, cut and pack a case.

    Args:
        bench: where it is converted.
        order: how it is converted.
        files: the case.
        scheme: of its label; None without one.

    Returns:
        Its rows and chunks, the latter in the bench's pages.

    Raises:
        BratsError: the case cannot be converted.
    """
    with ExitStack() as later:
        with bench.scans.borrow() as buffers:
            case = read_scan(files, bench.source, buffers, scheme, order.asked)
            notes, remarks = case_notes(case), tuple(case.remarks)
            memory = later.enter_context(bench.cuts.borrow())
            part = cut(case, order.frame, memory)
        converted = pack(part, order.frame.config.compression, bench.pages)
    return Made(converted, notes, remarks)
