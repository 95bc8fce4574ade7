"""The background of raw images, refused where it has no effect."""

from bratsprep.config import FilesConfig, PrepConfig


def check_background(background: str, choice: FilesConfig, *, images: bool) -> None:
    """Refuse a background that is not allowed, or has no effect.

    Args:
        background: as in `PrepConfig`.
        choice: what raw files are taken for.
        images: whether images are read.

    Raises:
        ValueError: it is no background, or has no effect without images or beside a brain mask.
    """
    PrepConfig(background=background, brain_mask=choice.brain_mask).check_effects()
    if background != "auto" and not images:
        raise ValueError(
            f"background {background} has no effect where no images are read; leave it out, or "
            "read those of raw cases with --images or --html"
        )
