"""Settings of raw files, refused where they have no effect."""

from collections.abc import Iterable
from pathlib import Path

from bratsprep.config import NO_MASK, PrepConfig


def refuse_raw_settings(paths: Iterable[Path], **settings: object) -> None:
    """Refuse settings of raw files where slice files are read.

    Args:
        paths: the slice files.
        **settings: `labels`, `background`, `label_name`, `brain_mask` and `same_grid`.

    Raises:
        ValueError: one of them is not its default.
    """
    default = PrepConfig()
    for name, value in settings.items():
        if value != getattr(default, name):
            raise ValueError(
                f"{name} {value} has no effect on {', '.join(map(str, paths))}: a slice file "
                "stores classes and brains, not raw files; leave it out"
            )


def check_background(
    background: str, *, images: bool, brain_mask: str = NO_MASK, **choice: object
) -> None:
    """Refuse a background that is not allowed, or has no effect.

    Args:
        background: as in `PrepConfig`.
        images: whether images are read.
        brain_mask: as in `PrepConfig`.
        **choice: other settings of raw files, which do not matter here.

    Raises:
        ValueError: it is no background, or has no effect without images or beside a brain mask.
    """
    PrepConfig(background=background, brain_mask=brain_mask).check_effects()
    if background != "auto" and not images:
        raise ValueError(
            f"background {background} has no effect where no images are read; leave it out, or "
            "read those of raw cases with --images or --html"
        )
