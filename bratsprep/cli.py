"""The command line of bratsprep: parse, call, echo."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

import bratsprep
from bratsprep.config import FaultConfig, PhantomConfig, PrepConfig, SourceConfig
from bratsprep.options import (
    CONTEXT,
    FILE,
    PLACE,
    WORKERS,
    Size,
    Whole,
    combined,
    exit_if_any,
    from_toml,
    given,
    reported,
    settings_options,
)
from bratsprep.part import PartConfig
from bratsprep.settings import keywords

CHOICE: Final = ("unlabelled", "on_error", *keywords(SourceConfig))
"""Settings of a build that decide what its files are taken for."""
RAW_OPTIONS = combined(
    settings_options(SourceConfig),
    settings_options(PrepConfig, only=("background",)),
    settings_options(FaultConfig),
)
"""Options of commands that read raw data."""
TABLE = settings_options(SourceConfig, only=("case_table",))


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="bratsprep")
def main() -> None:
    """Turn raw brain tumour scans into one slice file, and look at it."""


@main.command()
@click.argument("raw", type=PLACE)
@click.argument("out", type=FILE, required=False)
@settings_options(PrepConfig)
@WORKERS
@click.option("--max-ram", type=Size(), default=0, help="Memory of the whole program, such as 2G.")
@settings_options(FaultConfig)
@settings_options(PartConfig)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Convert the cases on a Dask cluster, by the address of its scheduler, such as "
    "tcp://node1:8786.",
)
@click.option("--force", is_flag=True, help="Start again and replace the existing file.")
@click.option(
    "--config",
    type=FILE,
    is_eager=True,
    expose_value=False,
    callback=from_toml,
    help="TOML file of these options, by the same names.",
)
@click.option("--dry-run", is_flag=True, help="Print what the files are taken for, and stop.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Print every remark on single files too.")
def build(
    raw: Path,
    out: Path | None,
    dask: str | None,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
    **settings: Any,
) -> None:
    """Turn a folder or archive of raw cases into one slice file.

    An interrupted build resumes when the command is repeated. Several machines may build a part
    each, with --part 1/16 to 16/16; the command without --part joins them.

    \b
    Example:
        bratsprep build Task01_BrainTumour.tar train.h5
    """
    with reported():
        if dry_run:
            choice = {name: value for name, value in given(settings).items() if name in CHOICE}
            shown = bratsprep.dry_run(raw, **choice)
            click.echo(shown.text(as_json))
            exit_if_any(shown.skipped)
            return
        if out is None or as_json:
            raise ValueError("OUT is needed, and --json goes with --dry-run alone")
        try:
            with ExitStack() as later:
                chosen = given(settings)
                if dask is not None:
                    executor, width = later.enter_context(bratsprep.dask_executor(dask))
                    chosen |= {"executor": executor, "workers": chosen.get("workers") or width}
                summary = bratsprep.build(raw, out, progress=True, **chosen)
        except KeyboardInterrupt:
            raise click.ClickException(
                f"{out}: stopped; repeat the same command to resume"
            ) from None
    for line in summary.lines(verbose):
        click.echo(line)
    exit_if_any(summary.skipped)


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("-o", "--out", type=FILE, required=True, metavar="H5", help="Slice file to write.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@WORKERS
def merge(files: tuple[Path, ...], out: Path, **settings: Any) -> None:
    """Join slice files of equal settings into one, without unpacking a slice.

    Cases of one person in several files are found by their images and get one subject.

    \b
    Example:
        bratsprep merge site1.h5 site2.h5 -o all.h5
    """
    with reported():
        merged = bratsprep.merge(files, out, progress=True, **given(settings))
    click.echo("\n".join(merged.lines()))


@main.command()
@click.argument("path", type=FILE)
@click.argument("raw", type=PLACE, required=False)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="ID",
    help="Compare this case alone, voxel by voxel; repeat for several.",
)
@click.option(
    "--sample",
    type=Whole({}),
    default=0,
    metavar="N",
    help="Compare N cases voxel by voxel; all without --case and --sample.",
)
@TABLE
@WORKERS
def verify(path: Path, raw: Path | None, cases: tuple[str, ...], **settings: Any) -> None:
    """Check a slice file: format, checksums, and its voxels against the raw files.

    \b
    Example:
        bratsprep verify train.h5 Task01_BrainTumour/ --sample 8
    """
    with reported():
        verified = bratsprep.verify(path, raw, cases=cases, progress=True, **given(settings))
    click.echo(f"{path}: ok, {verified}")


@main.command()
@click.argument("path", type=PLACE)
@RAW_OPTIONS
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
@click.option("--images", is_flag=True, help="Read raw images too: moments of each modality.")
@click.option("--plot", type=FILE, metavar="PNG", help="Draw the class balance.")
@click.option(
    "--html",
    "page",
    type=FILE,
    metavar="HTML",
    help="Write a page with histograms and pictures of outlying cases; reads every image.",
)
@click.option(
    "--write-cases",
    type=FILE,
    metavar="CSV",
    help="Write a first draft of a table for --cases from what was recognised, and stop.",
)
@WORKERS
def inspect(
    path: Path,
    as_json: bool,
    plot: Path | None,
    page: Path | None,
    write_cases: Path | None,
    **settings: Any,
) -> None:
    """Show class balance, sizes and outlying cases of a slice file or of raw data.

    \b
    Example:
        bratsprep inspect train.h5 --html page.html
    """
    with reported():
        if write_cases is not None:
            useless = [as_json, plot, page, settings["images"], settings["labels"]]
            if any(useless):
                raise ValueError(
                    "--json, --plot, --html, --images and --labels have no effect with "
                    "--write-cases, which only writes the table; leave them out"
                )
            choice = {
                name: value
                for name, value in given(settings).items()
                if name in keywords(SourceConfig)
            }
            click.echo(bratsprep.write_case_table(path, write_cases, **choice).line())
            return
        if page is None:
            inspection = bratsprep.inspect(path, progress=True, **given(settings))
        else:
            del settings["images"]
            inspection = bratsprep.inspect_page(path, page, progress=True, **given(settings))
        if plot is not None:
            bratsprep.plot_balance(inspection, plot)
    lines = [json.dumps(inspection.to_json(), indent=1)] if as_json else inspection.lines()
    click.echo("\n".join(lines))
    exit_if_any(inspection.skipped)


@main.command()
@click.argument("path", type=FILE)
@click.option(
    "--case", metavar="ID", help="Case to show; the first with the last class by default."
)
@click.option("-o", "--out", type=FILE, required=True, metavar="PNG", help="Picture to write.")
@click.option(
    "--planes", type=Whole({}), default=4, show_default=True, metavar="N", help="Planes to show."
)
def preview(path: Path, case: str | None, out: Path, planes: int) -> None:
    """Draw a few planes of a case: its modalities and the coloured label.

    \b
    Example:
        bratsprep preview train.h5 --case BRATS_001 -o page.png
    """
    with reported():
        bratsprep.preview(path, case, out, planes=planes)
    click.echo(out)


@main.command()
@click.argument("path", type=PLACE)
@click.option("--against", type=PLACE, metavar="OTHER", help="Find patients of PATH in OTHER.")
@RAW_OPTIONS
@click.option("--json", "as_json", is_flag=True, help="Print pairs and cases as JSON.")
@click.option("-o", "--out", type=FILE, metavar="CSV", help="Write a table for build --subjects.")
@WORKERS
def twins(
    path: Path, against: Path | None, as_json: bool, out: Path | None, **settings: Any
) -> None:
    """Find repeated patients in raw data, a folder of masks, or slice files.

    \b
    Example:
        bratsprep twins train.h5 --against other.h5
    """
    with reported():
        result = bratsprep.twins(path, against, progress=True, **given(settings))
        if out is not None:
            result.write(out)
    click.echo("\n".join([json.dumps(result.to_json(), indent=1)] if as_json else result.lines()))
    exit_if_any(result.skipped)


@main.command()
@click.argument("raw", type=PLACE)
@settings_options(PhantomConfig)
def phantom(raw: Path, **settings: Any) -> None:
    """Make synthetic cases that look like brains, in any layout.

    \b
    Example:
        bratsprep phantom raw/ --cases 8 --shape 96x96x64
    """
    with reported():
        made = bratsprep.phantoms(raw, progress=True, **given(settings))
    click.echo(made)


@main.command()
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def doctor(folder: Path, as_json: bool) -> None:
    """Examine machine and installation: what is missing, and what to do about it.

    The speed of the disk is that of FOLDER, the current one by default. The exit code is 1 where
    something essential is missing.

    \b
    Example:
        bratsprep doctor /data
    """
    found = bratsprep.doctor(folder)
    lines = [json.dumps(found.to_json(), indent=1)] if as_json else found.lines()
    click.echo("\n".join(lines))
    if not found.is_well:
        raise SystemExit(1)
