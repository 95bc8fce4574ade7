"""Files that the user leaves out before anything is recognised."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from bratsprep.discovery.mapping import Ignored
from bratsprep.sources.source import Source


def matches(member: str, pattern: str) -> bool:
    """Whether a file's name, or its path where the pattern has a slash, fits a pattern."""
    text = member if "/" in pattern else member.rpartition("/")[2]
    return fnmatchcase(text, pattern) or fnmatchcase(text, f"*/{pattern}")


def exclude(source: Source, patterns: Sequence[str]) -> tuple[Source, list[Ignored]]:
    """Leave files out of a source.

    Args:
        source: a folder or archive.
        patterns: of file names, or of paths where one has a slash, with `*` and `?`.

    Returns:
        The source without these files, which reads from the same folder or archive; and for each
        pattern what it left out. A pattern that fits no file counts 0.
    """
    left = {**source.members, **source.broken}
    ignored = []
    for pattern in patterns:
        found = [member for member in left if matches(member, pattern)]
        for member in found:
            del left[member]
        if found:
            ignored.append(Ignored(f"left out by --exclude {pattern}", len(found), found[0]))
        else:
            ignored.append(Ignored("fits no file", 0, f"--exclude {pattern}"))
    return (source.restricted(left) if patterns else source), ignored
