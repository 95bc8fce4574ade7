"""The page of `bratsprep inspect --html`: class balance, intensities, spread, odd cases.

What the data name, such as a case id, becomes markup in `bratsprep.drawing.document.text` alone.
"""

import base64
from collections.abc import Sequence
from typing import Final

from bratsprep.drawing.colours import TITLES
from bratsprep.drawing.document import document, facts, paragraph, section, table, text
from bratsprep.inspection.class_balance import (
    FEW,
    CaseCount,
    class_cells,
    columns,
    imbalance_line,
    modality_counts,
    odd_cases,
    spreads,
)
from bratsprep.inspection.results import Inspection
from bratsprep.inspection.svg_charts import bars, density, figure, key, strip
from bratsprep.inspection.voxel_statistics import PICTURES, Picture, Sketch
from bratsprep.labels import CLASSES, MODALITIES

_LISTED: Final = 200
"""Ids of one kind of odd case that are written out."""
_MEANINGS: Final = (
    "NCR is the necrotic and non-enhancing core, ED oedema, ET enhancing tumour. Counted over "
    "whole volumes, before any crop; unlabelled cases do not count."
)


def page(inspection: Inspection, sketch: Sketch) -> str:
    """Write the page.

    Args:
        inspection: what was counted.
        sketch: what was gathered of the voxels.

    Returns:
        HTML that needs no other file.
    """
    name = inspection.path.name or str(inspection.path)
    labelled = [row for row in inspection.rows if row.labelled]
    parts = [f"<h1>{text(name)}</h1>", head(inspection)]
    if labelled:
        parts += [balance_section(inspection), spread_section(labelled)]
    else:
        parts += [section("Class balance", paragraph("No case has a label: nothing to count."))]
    parts += [intensity_section(inspection, sketch), odd_section(inspection, sketch)]
    parts += [section("Every case", case_table(inspection.rows))]
    return document(f"{name}: what it holds", "\n".join(parts))


def head(inspection: Inspection) -> str:
    """Counts and sizes."""
    total = inspection.totals()
    found: dict[str, object] = {
        "what": inspection.kind,
        "label scheme": " + ".join(inspection.schemes) or "none",
        "cases": f"{total['cases']:,} of {total['subjects']:,} subjects",
        "planes": f"{total['planes']:,}, of them {total['slices']:,} with tumour",
        "on disk": f"{inspection.size_bytes / 1e6:,.1f} MB",
    }
    if kept := inspection.stored:
        lost = sum(kept.lost[1:])
        found["stored"] = f"{kept.slices:,} slices of {kept.height} x {kept.width}"
        found["outside the crop"] = f"{kept.lost[0]:,} brain and {lost:,} tumour voxels"
        found["built from"] = f"{kept.source_bytes / 1e6:,.1f} MB of raw files"
    return facts(found)


def balance_section(inspection: Inspection) -> str:
    """Class balance as a table and as bars."""
    classes, stored = inspection.classes, inspection.stored
    titles, *rows = class_cells(classes, stored.voxels if stored else ())
    said = imbalance_line(classes)
    total = inspection.totals()
    n_cases = sum(row.labelled for row in inspection.rows)
    shown = classes[1:]
    drawn = [
        bars("Share of tumour voxels",
             [(c.name, c.tumour_share, f"{c.tumour_share:.1%}") for c in shown]),
        bars(f"Planes that hold it, of {total['slices']:,} with tumour",
             [(c.name, c.planes, f"{c.planes:,}") for c in shown]),
        bars(f"Cases that hold it, of {n_cases:,}",
             [(c.name, c.cases, f"{c.cases:,}") for c in shown]),
    ]  # fmt: skip
    return section(
        "Class balance",
        paragraph(_MEANINGS, soft=True),
        table(titles, rows, said[0].upper() + said[1:]),
        f'<div class="charts">{"".join(f"<figure>{each}</figure>" for each in drawn)}</div>',
    )  # fmt: skip


def spread_section(rows: Sequence[CaseCount]) -> str:
    """How cases differ."""
    voxels = columns(rows, lambda row: row.voxels)
    values = {name: voxels[voxels[:, k] > 0, k].tolist() for k, name in enumerate(CLASSES) if k}
    drawn = ""
    if any(values.values()):
        chart = strip("Voxels of the class in each case that holds it", values)
        caption = "A dot is a case; the bar spans the middle half, the ring is the median."
        drawn = f'<div class="charts pairs">{figure(chart, caption)}</div>'
    lines = [[each.name, *(f"{place:,.0f}" for place in each.places)] for each in spreads(rows)]
    titles = ["over cases", "least", "25 %", "median", "75 %", "most"]
    return section("Spread over the cases", drawn, table(titles, lines))


def intensity_section(inspection: Inspection, sketch: Sketch) -> str:
    """Histograms before and after normalisation, and the moments."""
    title = "Intensities, before and after normalisation"
    if not sketch.pairs:
        why = (
            "These are masks without images: there are no intensities to show."
            if inspection.kind == "masks only"
            else "The file stores no slice: there are no intensities to show."
        )
        return section(title, paragraph(why))
    drawn = []
    for m, pair in enumerate(sketch.pairs):
        for side, histogram, unit in (
            (0, pair.before, "source units"),
            (1, pair.after, "standard deviations"),
        ):
            medians = [sketch.medians[case][m][side] for case in sorted(sketch.medians)]
            said = f"{TITLES[MODALITIES[m]]}, {('before', 'after')[side]}"
            chart = density(said, *histogram.shown(), medians, unit)
            drawn.append(f"<figure>{chart}</figure>")
    moments = [
        [c.name, *(f"{value:,.1f}" for value in (c.mean, c.mean_between, c.std, c.std_between))]
        for c in modality_counts(inspection.rows)
    ]
    titles = ["brain", "mean", "± between cases", "std", "± between cases"]
    return section(
        title,
        paragraph(where_counted(inspection)),
        key(),
        f'<div class="charts pairs">{"".join(drawn)}</div>',
        table(titles, moments, "Source units, over the whole brain of every case"),
    )


def where_counted(inspection: Inspection) -> str:
    """Say which voxels the histograms are of."""
    common = (
        "Area and lines are shares of their own voxels, all cases together. After z-scoring, the "
        "medians of the cases should lie close together; one that stands apart is worth a look."
    )
    if inspection.stored is None:
        return f"Brain voxels of every plane of every case. {common}"
    return (
        f"Brain voxels of the {inspection.stored.slices:,} stored slices, not of the whole heads: "
        "the slices were chosen, so medians need not be 0. Source units are worked out from what "
        f"is stored with each case's mean and standard deviation. {common}"
    )


def odd_section(inspection: Inspection, sketch: Sketch) -> str:
    """Cases to look at before they are trained on."""
    title = "Odd cases"
    odd = odd_cases(inspection.rows)
    if not odd:
        said = f"None: every case has a label, and of each class {FEW} voxels or more."
        return section(title, paragraph(said))
    reasons: dict[str, list[str]] = {}
    lines = []
    for found in odd:
        more = len(found.ids) - _LISTED
        ids = ", ".join(found.ids[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")
        lines.append(
            f"<p><strong>{text(found.what)}</strong> ({len(found.ids):,}): {text(ids)}</p>"
        )
        for case in found.ids if found.what != "unlabelled" else ():
            reasons.setdefault(case, []).append(found.what)
    shown = sorted(reasons)[:PICTURES]
    cards = [card(case, reasons[case], sketch.pictures.get(case)) for case in shown]
    note = (
        "The fullest plane of each, from the feet: front up, the patient's left on the right. "
        "NCR vermilion, ED blue, ET yellow"
    )
    cut = f"; the first {PICTURES} of {len(reasons):,}." if len(reasons) > PICTURES else "."
    pictures = [paragraph(note + cut, soft=True), f'<div class="cards">{"".join(cards)}</div>']
    return section(title, *lines, *(pictures if cards else []))


def card(case: str, reasons: Sequence[str], picture: Picture | None) -> str:
    """One odd case with its picture."""
    said = ", ".join(reasons)
    if picture is None:
        shown, plane = '<div class="none">no plane<br>to show</div>', ""
    else:
        told = f"Plane {picture.z} of {case}: " + (
            "T1gd and label" if picture.has_image else "label"
        )
        content = base64.b64encode(picture.file).decode("ascii")
        shown = f'<img src="data:image/png;base64,{content}" alt="{text(told)}">'
        plane = f", plane {picture.z}"
    caption = f"<b>{text(case)}</b>{text(said + plane)}"
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def case_table(rows: Sequence[CaseCount]) -> str:
    """Every case, folded away."""
    titles = ["case", "subject", "planes", "with tumour", *CLASSES[1:], "tumour (ml)"]
    lines = []
    for row in rows:
        known = [f"{row.tumour_planes:,}", *(f"{count:,}" for count in row.voxels[1:])]
        known = [*known, f"{row.tumour_ml:,.1f}"] if row.labelled else ["-"] * 5
        lines.append([row.id, row.subject, f"{row.planes:,}", *known])
    shown = table(titles, lines, "Voxels of each class")
    return f"<details><summary>{len(lines):,} cases</summary>{shown}</details>"
