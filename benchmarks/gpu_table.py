"""The results of `benchmarks.gpu` as Markdown."""

from collections.abc import Callable
from statistics import mean
from types import MappingProxyType
from typing import Any, Final

from benchmarks.machine import markdown
from benchmarks.train_table import AIM

Row = dict[str, Any]
NOT_MEASURED: Final = "not measured"
DRY: Final = "**A dry run on a CPU: it shows that every part runs, and no figure is one of a GPU.**"


def document(results: dict[str, Any]) -> str:
    """Lay the results out: facts, then a section for each part."""
    facts, rows = results["facts"], results["rows"]
    inner = {name: markdown(value) for name, value in facts.items() if isinstance(value, dict)}
    lines = ["# GPU", "", *([DRY, ""] if facts["kind"] == "cpu" else [])]
    lines += [f"- {name}: {value}" for name, value in (facts | inner).items()]
    for part, title in TITLES.items():
        lines += ["", f"## {title}", "", *table(part, rows)]
    return "\n".join(lines) + "\n"


def table(part: str, rows: dict[str, list[Row]]) -> list[str]:
    """The rows of a part, or a line that says why there is none."""
    found = rows.get(part) or [{"missing": NOT_MEASURED}]
    if all("missing" in row for row in found):
        return [str(row["missing"]) for row in found]
    cells = [READ.get(part, plain)(row, rows) for row in found]
    names = list(dict.fromkeys(name for each in cells for name in each))
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    return lines + [
        f"| {' | '.join(str(each.get(name, '')) for name in names)} |" for each in cells
    ]


def plain(row: Row, _: dict[str, list[Row]]) -> Row:
    """A row as it is, with floats in four digits."""
    return {name: number(value) for name, value in row.items()}


def number(value: Any) -> Any:
    """A float in four digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else value


def speed(row: Row, rows: dict[str, list[Row]]) -> Row:
    """A network's step and `fit`, with its share of the matrix rate."""
    named = {
        name: row[name] for name in ("model", "context", "precision", "compile") if name in row
    }
    if "missing" in row:
        return named | {"bare slices/s": row["missing"]}
    bare = mean(each["augmented"] for each in row["bare"])
    rates = {each["precision"]: each.get("operations_per_s") for each in rows.get("matrix", [])}
    rate = rates.get(row["precision"])
    share = bare * row["operations_per_slice"] / rate if rate else None
    cells = {
        "bare slices/s": number(bare),
        "share of matrix rate": NOT_MEASURED if share is None else f"{share:.1%}",
        "GPU MB": number(row["bare_device_memory_mb"]),
    }
    if fit := row.get("fit"):
        ratio = fit["slices_per_s"] / bare
        cells |= {
            "fit slices/s": number(fit["slices_per_s"]),
            f"fit / bare (aim {AIM})": f"{ratio:.3f}",
            "waiting": f"{fit['wait_share']:.1%}",
        }
    return named | cells


def kill(row: Row, _: dict[str, list[Row]]) -> Row:
    """A killed run beside one that was not."""
    cells = {"network": row["model"], "killed after": row.get("killed_after")}
    for name in ("killed", "repeated"):
        if name in row:
            cells[f"{name}: largest difference"] = number(row[name]["largest_difference"])
    return cells | {name: row[name] for name in ("missing",) if name in row}


TITLES: Final = MappingProxyType(
    {
        "tests": "Tests that need a GPU",
        "matrix": "Product of two large matrices",
        "speed": "Steps of each network, and `fit`",
        "volumes": "Steps of networks that see more than a plane, and `fit`",
        "loader": "From the file to the device",
        "memory": "Batch that fits by itself, and one that does not",
        "kill": "Killed and resumed",
        "apply": "`predict` and `evaluate`, seconds a case",
        "ranks": "`fit` alone, and as the only rank of a group",
        "rates": "Learning rates",
        "variants": "Bare steps compiled, and in the other precisions",
    }
)
READ: Final[MappingProxyType[str, Callable[[Row, dict[str, list[Row]]], Row]]] = MappingProxyType(
    {"speed": speed, "volumes": speed, "variants": speed, "kill": kill}
)
