"""Label scheme of each case: from the option, from names, or from the values in the labels."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from bratsprep.case import CaseFiles
from bratsprep.config import FilesConfig
from bratsprep.errors import BratsError, LabelError
from bratsprep.labels import ClassSet, Scheme, fitting, from_values, read_scheme, scheme, shipped
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.label import raw_values


def chosen_scheme(labels: str | Path) -> tuple[str, Scheme | None]:
    """Look up the scheme that an option names.

    Args:
        labels: name of a scheme that ships, path of a TOML file, or `auto`.

    Returns:
        What `PrepConfig.labels` holds for it, which depends on the content of a file and not on
        its place; and the scheme, None for `auto`.

    Raises:
        LabelError: the file is no scheme, or has the name of another.
        ValueError: there is no such scheme.
    """
    text = str(labels)
    if text == "auto":
        return text, None
    if not text.endswith(".toml"):
        return text, scheme(text)
    own = read_scheme(Path(text))
    if own.name in shipped():
        raise LabelError(f"{text}: scheme {own.name} ships with the program; give it another name")
    return f"toml:{sha256(own.to_json().encode()).hexdigest()[:16]}", own


def scheme_name(chosen: Scheme | None) -> str:
    """Name of the scheme of all cases; `auto` where there is none."""
    return "auto" if chosen is None else chosen.name


def scan_keywords(choice: FilesConfig, chosen: Scheme | None) -> dict[str, Any]:
    """Keywords of `bratsprep.discovery.discover.scan` for a choice whose scheme was looked up."""
    return asdict(replace(choice, labels=scheme_name(chosen)))


def common_classes(schemes: Iterable[Scheme]) -> ClassSet:
    """Classes that all cases of a set share; those of BraTS where no case has a label.

    Raises:
        LabelError: two schemes have other classes.
    """
    by_name = {each.name: each for each in schemes}
    first, *others = list(by_name.values()) or [scheme("brats2017")]
    for other in others:
        if other.classes != first.classes:
            raise LabelError(
                f"cases of schemes {first.name} and {other.name} have other classes "
                f"({', '.join(first.classes.tumour)}; {', '.join(other.classes.tumour)}) and do "
                "not fit into one file; build one of each, or name one scheme with --labels"
            )
    return first.classes


def resolve(source: Source, cases: Iterable[CaseFiles], chosen: Scheme | None) -> dict[str, Scheme]:
    """Find the scheme of every labelled case.

    Label values are read only where names are no evidence, and of all such cases together: the
    values of one case are seldom enough. A label that cannot be read, or has a value of no scheme,
    is left to the reader of the case, which refuses it and may set the case aside.

    Args:
        source: what the cases lie in.
        cases: the cases; unlabelled ones are ignored.
        chosen: scheme of all of them; None to find out.

    Returns:
        Scheme by case id.

    Raises:
        LabelError: the evidence fits several schemes or none.
        BratsError: it should be in the labels, but none of them can be read.
    """
    labelled = [files for files in cases if files.label is not None]
    if chosen is not None:
        return {files.id: chosen for files in labelled}
    faults = sorted({files.scheme_fault for files in labelled if files.scheme_fault})
    if faults:
        raise LabelError(faults[0])
    schemes = {files.id: scheme(files.scheme) for files in labelled if files.scheme is not None}
    unnamed = [files for files in labelled if files.scheme is None]
    if unnamed:
        common = from_values(all_values(source, unnamed), str(source.path))
        schemes |= {files.id: common for files in unnamed}
    return schemes


def all_values(source: Source, cases: Iterable[CaseFiles]) -> set[int]:
    """Raw values that occur in the labels of some cases.

    Labels that cannot be read are left out, and those with a value of no scheme, unless all have
    one: a single faulty label must not hide what the others say.

    Raises:
        BratsError: no label can be read; the first one's error.
    """
    values: set[int] = set()
    strange: set[int] = set()
    faults: list[BratsError] = []
    buffers = Buffers()
    for files in cases:
        try:
            own = raw_values(source, str(files.label), buffers)
        except BratsError as error:
            faults.append(error)
        else:
            (values if fitting(own) else strange).update(own)
    if faults and not values | strange:
        raise faults[0]
    return values or strange
