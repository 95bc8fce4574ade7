"""The results of `benchmarks.train` as Markdown."""

from statistics import mean, median
from typing import Any

from benchmarks.grid import grid
from benchmarks.machine import markdown
from benchmarks.train_parts import PRECISIONS, SIZES
from bratstrain.config import MODELS

TITLES = {"cpu": "CPU", "cuda": "GPU"}
NONE = "not measured: the machine has no GPU"
AIM = 0.95
"""Speed of `fit` over that of the bare step, on a GPU."""
Row = dict[str, Any]
NOTES = """
*Bare step*: `Trainer.step` on one batch that lies on the device; augmentation, backward pass,
clipping, optimiser and averaged weights included; in the same process before `fit` and after it,
their mean. *fit*: the program itself, from a slice file; its own slices/s and share of waiting out
of `log.jsonl`, without the first ten steps and the lines that a validation falls into; «all in» is
from the first step to the last, start and validations included. *Share of the matrix rate*: six
operations for each multiply-add of the forward pass and of the bare step, over the rate of the
product of two large matrices in the same precision (fp32 is TF32 on a GPU). Host memory is the
process's resident peak, imports included. Settings that the table does not name are the defaults
of `fit`. 64 x 5 is the full size of the networks; on a CPU it is measured for few bare steps, and
the smaller size stands for a shape of step at which the loader has to hurry.

*Family*: our network and those of others that are like it, each a process of its own in the peers'
environment, making a step in turn with its neighbours: the same batch, batch norm and ReLU in all,
soft Dice and cross-entropy, clipping by the norm, fused AdamW; neither augmentation nor averaged
weights. Widths are 64 to 1024; smp's are VGG's, 64 to 512. MONAI's UNet has one convolution a
level. *Time a multiply-add*: median over the rounds, that of ours in the same round = 1. Ours
lie channels last, as in `fit`; the peers' as torch lays them out, and channels last too.
"""
SPEED = (
    "network",
    "width x depth",
    "batch",
    "precision",
    "bare slices/s",
    "without augmentation",
    "share of matrix rate",
    "fit slices/s",
    "fit / bare",
    "waiting",
    "fit, all in",
    "host MB, bare / fit",
    "GPU MB, bare / fit",
)
BESIDE = (
    "family",
    "network",
    "precision",
    "mode",
    "layout",
    "M parameters",
    "GMAC forward",
    "slices/s",
    "share of matrix rate",
    "time a multiply-add, ours = 1",
    "first step s",
    "MB, host / GPU",
)


def document(results: dict[str, Any]) -> str:
    """Lay all results out; a device that is not in them is «not measured»."""
    lines = ["# Training", ""]
    for kind, title in TITLES.items():
        lines += [f"## {title}", ""]
        if kind not in results:
            lines += [*missing_tables(kind), ""]
            continue
        facts, rows = results[kind]["facts"], results[kind]["rows"]
        lines += [*facts_lines(facts), "", *tables(rows, kind), ""]
    return "\n".join(lines) + NOTES


def facts_lines(facts: Row) -> list[str]:
    """Where, when and with what, a line each."""
    inner = {k: markdown(v) for k, v in facts.items() if isinstance(v, dict)}
    plain = {k: v for k, v in facts.items() if v and not isinstance(v, dict | list)}
    commands = [f"- command: `{each}`" for each in facts["commands"]]
    return [*commands, *(f"- {name}: {value}" for name, value in (plain | inner).items())]


def missing_tables(kind: str) -> list[str]:
    """A device that nothing was measured on: no number in any row."""
    why = NONE if kind == "cuda" else "not measured"
    size = SIZES[kind][0]
    head = (*SPEED[:4], "bare and fit slices/s, ratio, waiting, memory, share of the matrix rate",
            "compiled", "loss against fp32", "kill and resume")  # fmt: skip
    size_cells = [f"{size.width} x {size.depth}", str(size.batch_size)]
    lines = [
        [model, *size_cells, precision, *[why] * (len(head) - 4)]
        for model in MODELS
        for precision in PRECISIONS[kind]
    ]
    return grid(head, lines)


def tables(rows: dict[str, list[Row]], kind: str) -> list[str]:
    """The tables of one device."""
    rates = {each["precision"]: each.get("operations_per_s") for each in rows["matrix"]}
    matrix = [[name, number(rate, 1e12, ".3g")] for name, rate in rates.items()]
    lines = grid(("precision", "matrix rate, TFLOP/s"), matrix)
    lines += grid(SPEED, [speed_cells(each, rates) for each in rows["speed"]])
    lines += compiled(rows["speed"]) + aim(rows["speed"], kind)
    lines += agreement(rows["agreement"]) + kill(rows["kill"])
    return lines + beside(rows.get("peers", []))


def number(value: float | None, unit: float, form: str) -> str:
    """A number in a unit, or that there is none."""
    return "not measured" if value is None else f"{value / unit:{form}}"


def names(row: Row) -> list[str]:
    """What was run: network, size, batch and precision."""
    precision = row["precision"] + ", compiled" * row.get("compile", False)
    return [row["model"], f"{row['width']} x {row['depth']}", str(row["batch_size"]), precision]


def bare(row: Row, kind: str = "augmented") -> float:
    """Slices a second of the bare step; before and after `fit`."""
    return float(mean(each[kind] for each in row["bare"]))


def speed_cells(row: Row, rates: dict[str, float | None]) -> list[str]:
    """A line of the table of speeds."""
    if "missing" in row:
        return [*names(row), row["missing"]]
    rate, fit = rates.get(row["precision"]), row.get("fit")
    done = row["operations_per_slice"] * bare(row)
    cells = [
        *names(row),
        f"{bare(row):.3g}",
        f"{bare(row, 'plain'):.3g}",
        number(rate and done / rate, 1, ".1%"),
    ]
    if fit is None:
        return [*cells, *["not measured"] * 4, *memory(row, None)]
    return [
        *cells,
        f"{fit['slices_per_s']:.3g}",
        f"{fit['slices_per_s'] / bare(row):.1%}",
        f"{fit['wait_share']:.1%}",
        f"{fit['with_validation']:.3g} ({fit['steps']} steps, {fit['seconds']:.0f} s)",
        *memory(row, fit),
    ]


def memory(row: Row, fit: Row | None) -> list[str]:
    """Peaks of host and device, of the bare step and of `fit`."""
    pairs = (
        (row[f"bare_{name}"], "" if fit is None else f" / {fit[name]:.0f}")
        for name in ("memory_mb", "device_memory_mb")
    )
    return [f"{peak:.0f}{rest}" if peak else "" for peak, rest in pairs]


def beside(rows: list[Row]) -> list[str]:
    """Our networks and the peers', a family after the other."""
    return grid(BESIDE, [beside_cells(row) for row in rows])


def beside_cells(row: Row) -> list[str]:
    """A line of the table of networks."""
    how = ["compiled" if row.get("compiled") else "eager", row.get("layout", "")]
    begin = [row["family"], row["network"], row["precision"], *how]
    if "missing" in row:
        return [*begin, row["missing"]]
    n, done = row["batch_size"], 6 * row["macs"]
    shares = [
        n * done / seconds / rate
        for seconds, rate in zip(row["seconds"], row["operations_per_s"], strict=True)
    ]
    times = [each for each in row["against_ours"] if each is not None]
    peaks = [f"{row['memory_mb']:.0f}"]
    peaks += [f"{row['device_memory_mb']:.0f}"] if row["device_memory_mb"] else []
    return [
        *begin,
        f"{row['parameters'] / 1e6:.2f}",
        f"{row['macs'] / 1e9:.2f}",
        f"{n / median(row['seconds']):.3g}",
        f"{median(shares):.0%}",
        f"{median(times):.2f}" if times else "",
        f"{row['first_s']:.0f}",
        " / ".join(peaks),
    ]


def compiled(rows: list[Row]) -> list[str]:
    """What `--compile` gains, where both were measured."""
    good = [row for row in rows if "missing" not in row]
    eager = {tuple(names(row)): row for row in good if not row["compile"]}
    pairs = [
        (row, eager.get(tuple(names(row | {"compile": False})))) for row in good if row["compile"]
    ]
    lines = [
        [*names(row)[:3], row["precision"], f"{bare(row) / bare(plain):.2f}"]
        for row, plain in pairs
        if plain is not None
    ]
    return grid((*SPEED[:4], "compiled / eager, bare step"), lines)


def aim(rows: list[Row], kind: str) -> list[str]:
    """Whether `fit` is as fast as it was set out to be; a CPU's ratio is shown, but no aim."""
    ratios = [row["fit"]["slices_per_s"] / bare(row) for row in rows if "fit" in row]
    if kind == "cpu" or not ratios:
        return []
    said = "reached" if min(ratios) >= AIM else "not reached"
    return [f"fit / bare, aim ≥ {AIM:.0%}: lowest of the table {min(ratios):.1%}, {said}.", ""]


def agreement(rows: list[Row]) -> list[str]:
    """Last loss of each precision, and how far it is from that of fp32."""
    good = [row for row in rows if "missing" not in row]
    exact = {row["model"]: row["loss"] for row in good if row["precision"] == "fp32"}
    lines = []
    for row in rows:
        if "missing" in row:
            lines.append([*names(row), row["missing"]])
            continue
        last = max(row["loss"], key=int)
        other = exact.get(row["model"], {}).get(last)
        gap = None if other is None else row["loss"][last] / other - 1
        shown = number(gap, 1, "+.2%")
        lines.append([*names(row), last, f"{row['loss'][last]:.5f}", shown, str(row["skipped"])])
    head = ("steps", "mean loss of the last 10", "against fp32", "steps left out")
    return grid((*SPEED[:4], *head), lines)


def kill(rows: list[Row]) -> list[str]:
    """Weights after a kill beside those of runs that were left alone."""
    lines = []
    for row in rows:
        if "missing" in row:
            lines.append([*names(row), row["missing"]])
            continue
        cut = row["killed_after"]
        when = "ended before the kill" if cut is None else f"after {cut} of {row['steps']} steps"
        pairs = [weights(row[each]) for each in ("killed", "repeated") if each in row]
        lines.append([*names(row), when, *pairs])
    head = ("killed", "killed and gone on with, against one left alone", "two left alone, GPU only")
    return grid((*SPEED[:4], *head), lines)


def weights(pair: Row) -> str:
    """How far two sets of weights are from each other."""
    if pair["same_bits"]:
        return "the same to the bit"
    return f"largest difference {pair['largest_difference']:.2g}"
