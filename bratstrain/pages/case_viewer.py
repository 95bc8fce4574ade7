"""Cases to page through: controls, panels and legend, which `pages/viewer.js` brings to life."""

from collections.abc import Iterator, Sequence
from typing import Final

from bratsprep.labels import CLASSES
from bratstrain.pages.markup import Markup, joined, tag

MODALITY_NAMES: Final = ("FLAIR", "T1w", "T1gd", "T2w")
FIRST: Final = MODALITY_NAMES.index("T1gd")
"""Modality that is shown at first."""
ERRORS: Final = "Error map"
MEANINGS: Final = {
    "NCR": "NCR, necrotic and non-enhancing core",
    "ED": "ED, oedema",
    "ET": "ET, enhancing tumour",
}


def viewer(name: str, cases: Sequence[str], runs: Sequence[str]) -> Markup:
    """Make the viewer of some cases.

    Args:
        name: of the viewer, by which the script finds its pictures.
        cases: what to call each case.
        runs: one for four panels; several for a panel each, beside original and truth.
    """
    controls = tag(
        "div",
        choice(f"{name}-case", "Case", cases, 0),
        choice(f"{name}-modality", "Modality", MODALITY_NAMES, FIRST),
        tag(
            "label",
            tag("input", type="checkbox", name=f"{name}-errors"),
            "Error map: missed and false",
            class_="switch",
        ),
        tag("button", "Fullest plane", type="button", data_go="fullest"),
        class_="controls",
    )
    shown = tag("div", panels(runs), class_="panels" if len(runs) == 1 else "panels few")
    told = tag("output", "Unpacking the pictures…", aria_live="off")
    script = tag("noscript", tag("p", "The pictures of the cases need JavaScript to be unpacked."))
    parts = (controls, shown, plane_control(), told, legend(len(runs)), script)
    return tag("div", *parts, class_="viewer", data_viewer=name)


def choice(name: str, title: str, labels: Sequence[str], chosen: int) -> Markup:
    """Make a row of radio buttons."""
    buttons = (
        tag(
            "label",
            tag("input", type="radio", name=name, value=str(i), checked=i == chosen),
            label,
        )
        for i, label in enumerate(labels)
    )
    return tag("fieldset", tag("legend", title), tag("div", buttons, class_="choice"))


def panels(runs: Sequence[str]) -> Iterator[Markup]:
    """Make the panels: original, truth, and predictions."""
    yield panel("Original", "original")
    yield panel("Ground truth", "truth")
    if len(runs) == 1:
        yield panel("Prediction", "predicted")
        yield panel("Overlay", "overlay", errors=ERRORS)
        return
    for i, run in enumerate(runs):
        yield panel(run, "predicted", i, errors=f"{run}: errors")


def panel(title: str, kind: str, run: int = 0, errors: str | None = None) -> Markup:
    """Make one panel.

    Args:
        title: above it.
        kind: what it shows.
        run: whose prediction.
        errors: title while it shows errors instead; None where it never does.
    """
    canvas = tag(
        "canvas", role="img", aria_label=title, data_kind=kind, data_run=str(run),
        data_name=title, data_errors=errors, width="10", height="10",
    )  # fmt: skip
    return tag("figure", tag("figcaption", title), canvas, class_="panel")


def plane_control() -> Markup:
    """Make the slider through the planes, the tumour's area above it."""
    return tag(
        "div",
        tag("button", "\N{MINUS SIGN}", type="button", data_go="-1", aria_label="one plane down"),
        tag(
            "div",
            tag("canvas", class_="profile", aria_hidden="true", width="10", height="10"),
            tag("input", type="range", min="0", max="0", value="0", aria_label="Plane"),
            class_="track",
        ),
        tag("button", "+", type="button", data_go="1", aria_label="one plane up"),
        class_="plane",
    )


def legend(n_runs: int) -> Markup:
    """Say what the colours are."""
    classes = (tag("li", swatch(name), MEANINGS[name]) for name in CLASSES[1:])
    mistakes = {
        "missed": "missed: tumour taken for none",
        "false": "false: none taken for tumour",
        "other": "tumour of another class",
    }
    lines = tag("li", tag("span", class_="swatch outline"), "outline of the true tumour")
    errors = (
        tag("li", tag("span", class_=f"swatch {key}"), text) for key, text in mistakes.items()
    )
    outline = lines if n_runs == 1 else ""
    return joined(
        tag("ul", classes, outline, class_="legend", data_when="classes"),
        tag("ul", errors, lines, class_="legend", data_when="errors", hidden=True),
    )


def swatch(name: str) -> Markup:
    """A small square in the colour of a class."""
    return tag("span", class_=f"swatch {name.lower()}")
