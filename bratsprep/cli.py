"""The command line of bratsprep: parse, call, echo."""

import functools
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

import bratsprep
from bratsprep.config import COMPRESSION, DTYPES, LABELS, NORMALISE, REPEATS, SLICES
from bratsprep.errors import BratsError

FILE: Final = click.Path(dir_okay=False, path_type=Path)
PLACE: Final = click.Path(path_type=Path)
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(click.ParamType[int]):
    """A number of bytes such as 900M or 2G."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Turn the words into bytes."""
        text = str(value).upper().removesuffix("B")
        unit = text[-1:] if text[-1:] in _UNITS else ""
        number = text.removesuffix(unit)
        if not number.replace(".", "", 1).isdecimal():
            self.fail(f"{value!r} is no size; write it like 900M or 2G", param, ctx)
        return int(float(number) * _UNITS[unit])


@contextmanager
def told() -> Iterator[None]:
    """Turn our errors into click's: exit 1 when the data is at fault, 2 when the call is."""
    try:
        yield
    except BratsError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing; install it with: pip install 'bratsprep[plot]'"
        ) from error


def from_toml(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Let a TOML file give the defaults of the other options, by the same names."""
    if path is None:
        return
    try:
        names = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}", ctx, param) from error
    known = {other.name for other in ctx.command.params if isinstance(other, click.Option)}
    given = {name.replace("-", "_"): value for name, value in names.items()}
    unknown = sorted(set(given) - known)
    if unknown:
        raise click.BadParameter(f"{path}: unknown setting {', '.join(unknown)}", ctx, param)
    ctx.default_map = {**(ctx.default_map or {}), **given}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bratsprep.__version__)
def main() -> None:
    """Turn raw brain tumour scans into one slice file, and look at it."""


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that are fields of PrepConfig."""
    options = (
        click.option("--slices", type=click.Choice(SLICES), default="tumour", show_default=True,
                     help="Planes to store."),
        click.option("--margin", default=0, show_default=True, metavar="K",
                     help="Planes on either side of each tumour plane too."),
        click.option("--negatives", default=0.0, show_default=True, metavar="SHARE",
                     help="Share of the tumour-free brain planes too, drawn from the seed."),
        click.option("--normalise", type=click.Choice(NORMALISE), default="modality",
                     show_default=True, help="z-score over the brain, or raw numbers."),
        click.option("--crop", default="192x160", show_default=True, metavar="HxW|brain|none",
                     help="Window around the brain, y x x."),
        click.option("--dtype", type=click.Choice(DTYPES), default="auto", show_default=True,
                     help="Of the stored images."),
        click.option("--compression", type=click.Choice(COMPRESSION), default="fast",
                     show_default=True),
        click.option("--labels", type=click.Choice(LABELS), default="auto", show_default=True,
                     help="Label scheme of the source."),
        click.option("--unlabelled", is_flag=True, help="Take cases without a label too."),
        click.option("--background", default="auto", show_default=True,
                     metavar="VALUE|auto|any", help="What is outside the brain: a number or nan; "
                     "found where it is not 0; or 0, and no check of the brain."),
        click.option("--seed", default=0, show_default=True),
    )  # fmt: skip
    return functools.reduce(lambda done, option: option(done), reversed(options), command)


@main.command()
@click.argument("raw", type=PLACE)
@click.argument("out", type=FILE)
@_settings
@click.option(
    "--subjects",
    default="auto",
    show_default=True,
    metavar="CSV|names|auto",
    help="Who is who: a table such as 'twins -o' writes, names alone, or the table that "
    "comes along for Task01 and names else.",
)
@click.option("--repeats", type=click.Choice(REPEATS), default="group", show_default=True,
              help="Cases that are one person by their images: put certain ones into one subject, "
              "only name them, or do not look.")  # fmt: skip
@click.option("--workers", default=0, metavar="N", help="Threads; all cores by default.")
@click.option("--max-ram", type=Size(), default=0, help="For the whole program, such as 2G.")
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True)
@click.option("--force", is_flag=True, help="Start over, replacing what is there.")
@click.option("--config", type=FILE, is_eager=True, expose_value=False, callback=from_toml,
              help="TOML file with the same names as these options.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Settings and notes too.")
def build(raw: Path, out: Path, verbose: bool, **settings: Any) -> None:
    """Turn a folder or archive of raw cases into one slice file.

    A build that was stopped goes on when the same command is run again.

    \b
    Example:
        bratsprep build Task01_BrainTumour.tar train.h5
    """
    with told():
        try:
            summary = bratsprep.build(raw, out, progress=True, **settings)
        except KeyboardInterrupt:
            raise click.ClickException(
                f"{out}: stopped; run the same command again to go on"
            ) from None
    for line in summary.lines(verbose):
        click.echo(line)
    if summary.skipped:
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("path", type=FILE)
@click.argument("raw", type=PLACE, required=False)
@click.option("--case", "cases", multiple=True, metavar="ID", help="Only these, voxel by voxel.")
@click.option("--sample", default=0, metavar="N", help="Only N cases, voxel by voxel.")
@click.option("--workers", default=0, metavar="N", help="Threads; all cores by default.")
def verify(path: Path, raw: Path | None, cases: tuple[str, ...], sample: int, workers: int) -> None:
    """Check a slice file: contract, checksums, and its voxels against the raw files.

    \b
    Example:
        bratsprep verify train.h5 Task01_BrainTumour/ --sample 8
    """
    with told():
        verified = bratsprep.verify(
            path, raw, cases=cases, sample=sample, workers=workers, progress=True
        )
    click.echo(f"{path}: ok, {verified}")


@main.command()
@click.argument("path", type=PLACE)
@click.option("--labels", type=click.Choice(LABELS), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="All numbers as JSON.")
@click.option("--images", is_flag=True, help="Read raw images too: moments of each modality.")
@click.option("--plot", type=FILE, metavar="PNG", help="Draw the class balance.")
@click.option("--html", "page", type=FILE, metavar="HTML", help="Write it all as one page, with "
              "histograms and pictures of odd cases; reads every image.")  # fmt: skip
@click.option("--workers", default=0, metavar="N", help="Threads; all cores by default.")
def inspect(
    path: Path, as_json: bool, plot: Path | None, page: Path | None, images: bool, **settings: Any
) -> None:
    """Show class balance, sizes and odd cases of a slice file or of raw data.

    \b
    Example:
        bratsprep inspect train.h5 --html page.html
    """
    with told():
        if page is None:
            inspection = bratsprep.inspect(path, images=images, progress=True, **settings)
        else:
            inspection = bratsprep.inspect_page(path, page, progress=True, **settings)
        if plot is not None:
            bratsprep.plot_balance(inspection, plot)
    lines = [json.dumps(inspection.to_json(), indent=1)] if as_json else inspection.lines()
    click.echo("\n".join(lines))


@main.command()
@click.argument("path", type=FILE)
@click.option("--case", metavar="ID", help="Case to show; the first with enhancing tumour.")
@click.option("-o", "--out", type=FILE, required=True, metavar="PNG")
@click.option("--planes", default=4, show_default=True)
def preview(path: Path, case: str | None, out: Path, planes: int) -> None:
    """Draw a few planes of a case: four modalities and the coloured label.

    \b
    Example:
        bratsprep preview train.h5 --case BRATS_001 -o page.png
    """
    with told():
        bratsprep.preview(path, case, out, planes=planes)
    click.echo(out)


@main.command()
@click.argument("path", type=PLACE)
@click.option("--against", type=PLACE, metavar="OTHER", help="Look for the same people in OTHER.")
@click.option("--labels", type=click.Choice(LABELS), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Pairs and cases as JSON.")
@click.option("-o", "--out", type=FILE, metavar="CSV", help="Table for build --subjects.")
@click.option("--workers", default=0, metavar="N", help="Threads; all cores by default.")
def twins(
    path: Path, against: Path | None, labels: str, as_json: bool, out: Path | None, workers: int
) -> None:
    """Find repeated patients in raw data, a folder of masks, or slice files.

    \b
    Example:
        bratsprep twins train.h5 --against other.h5
    """
    with told():
        found = bratsprep.twins(path, against, labels=labels, workers=workers, progress=True)
        if out is not None:
            found.write(out)
    click.echo("\n".join([json.dumps(found.to_json(), indent=1)] if as_json else found.lines()))


@main.command()
@click.argument("raw", type=PLACE)
@click.option("--cases", default=8, show_default=True)
@click.option("--layout", default="msd", show_default=True, help="msd, brats2018, brats2020, "
              "brats2023, brats2024, nnunet or plain.")  # fmt: skip
@click.option("--scheme", help="Label scheme; the layout's own by default.")
@click.option("--shape", default="240x240x155", show_default=True, metavar="XxYxZ")
@click.option("--dtype", default="int16", show_default=True, help="int16 or float32.")
@click.option("--archive", default="", help="tar, tar.gz or zip: pack the folder.")
@click.option("--unlabelled", default=0, show_default=True, help="Cases without a label too.")
@click.option("--repeats", default=0, show_default=True, help="Last cases that repeat subjects.")
@click.option("--seed", default=0, show_default=True)
def phantom(raw: Path, shape: str, **settings: Any) -> None:
    """Make synthetic cases that look like brains, in any layout.

    \b
    Example:
        bratsprep phantom raw/ --cases 8 --shape 96x96x64
    """
    with told():
        sides = shape.split("x")
        if len(sides) != 3 or not all(side.isdecimal() for side in sides):
            raise ValueError(f"shape must be XxYxZ such as 240x240x155, got {shape!r}")
        x, y, z = map(int, sides)
        made = bratsprep.phantoms(raw, shape=(x, y, z), progress=True, **settings)
    click.echo(made)
