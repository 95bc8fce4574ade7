"""Content of the page of `bratsprep inspect --html`, which `templates/page.html` shows."""

from collections.abc import Sequence
from typing import Any, Final

from bratsprep.drawing import document
from bratsprep.drawing.charts import bars, density, histogram_key, strip
from bratsprep.drawing.colours import title as modality_title
from bratsprep.drawing.svg import Drawing
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
from bratsprep.inspection.voxel_statistics import PICTURES, Sketch
from bratsprep.labels import ClassSet

LISTED: Final = 200
"""Ids of one kind of unusual case that are written out."""
STAGES: Final = (("before", "source units"), ("after", "standard deviations"))
"""Before and after normalisation, with the unit of each."""


def page(inspection: Inspection, sketch: Sketch) -> str:
    """Write the page.

    Args:
        inspection: counts of what was inspected.
        sketch: histograms and pictures of its voxels.

    Returns:
        HTML that needs no other file.
    """
    name = inspection.path.name or str(inspection.path)
    sections: dict[str, object] = {
        "name": name,
        "facts": facts(inspection),
        "balance": balance(inspection),
        "spread": spread(inspection.labelled, inspection.class_set),
        "intensities": intensities(inspection, sketch),
        "unusual": unusual_cases(inspection),
        "cards": cards(inspection, sketch),
        "limits": {"few": FEW, "pictures": PICTURES},
        "faulty": [[case.id, case.reason] for case in inspection.skipped],
        "cases": [case_cells(row) for row in inspection.rows],
        "classes": inspection.class_set.tumour,
        "meanings": meanings(inspection),
    }
    title = f"{name}: contents"
    return document.page("bratsprep.inspection", title, sections, inspection.class_set)


def meanings(inspection: Inspection) -> list[dict[str, Any]]:
    """Number, name and colour of each class, and what the regions are unions of."""
    classes = inspection.class_set
    return [
        {"k": k, "name": name, "regions": [region for region, labels in classes.regions
                                           if k in labels and region != name]}
        for k, name in enumerate(classes.tumour, 1)
    ]  # fmt: skip


def facts(inspection: Inspection) -> dict[str, str]:
    """Counts and sizes by name."""
    total = inspection.totals()
    pairs = {
        "kind": inspection.kind,
        "label scheme": " + ".join(inspection.schemes) or "none",
        "cases": f"{total['cases']:,} of {total['subjects']:,} subjects",
        "planes": inspection.planes_text(),
        "on disk": f"{inspection.size_bytes / 1e6:,.1f} MB",
    }
    if stored := inspection.stored:
        tumour = f" and {sum(stored.lost[1:]):,} tumour" if inspection.labelled else ""
        cropped = f"{stored.lost[0]:,} brain{tumour} voxels"
        pairs["stored"] = f"{stored.slices:,} slices of {stored.height} x {stored.width}"
        pairs["outside the crop"] = cropped
        pairs["built from"] = f"{stored.source_bytes / 1e6:,.1f} MB of raw files"
    return pairs


def balance(inspection: Inspection) -> dict[str, Any] | None:
    """Table and charts of the class balance; None where no case has a label."""
    labelled = inspection.labelled
    if not labelled:
        return None
    classes, stored = inspection.classes, inspection.stored
    head, *rows = class_cells(classes, stored.voxels if stored else ())
    tumour, planes = classes[1:], inspection.tumour_planes
    charts = [
        bars("Share of tumour voxels",
             [(count.name, count.tumour_share, f"{count.tumour_share:.1%}") for count in tumour]),
        bars(f"Planes with the class, of {planes:,} with tumour",
             [(count.name, count.planes, f"{count.planes:,}") for count in tumour]),
        bars(f"Cases with the class, of {len(labelled):,}",
             [(count.name, count.cases, f"{count.cases:,}") for count in tumour]),
    ]  # fmt: skip
    line = imbalance_line(classes)
    return {"head": head, "rows": rows, "caption": line[0].upper() + line[1:], "charts": charts}


def spread(labelled: Sequence[CaseCount], classes: ClassSet) -> dict[str, Any] | None:
    """Table and chart of how cases differ; None where no case has a label.

    The table is of all labelled cases, the chart of those that hold the class.
    """
    if not labelled:
        return None
    voxels = columns(labelled, lambda row: row.voxels, len(classes))
    values = {
        name: voxels[voxels[:, k] > 0, k].tolist() for k, name in enumerate(classes.tumour, 1)
    }
    title = "Voxels of the class in each case that holds it"
    chart = strip(title, values) if any(values.values()) else None
    rows = [
        [number.name, *(f"{place:,.0f}" for place in number.places)]
        for number in spreads(labelled, classes)
    ]
    return {"chart": chart, "rows": rows, "cases": len(labelled)}


def intensities(inspection: Inspection, sketch: Sketch) -> dict[str, Any]:
    """Histograms before and after normalisation, moments, and cases far from the others."""
    charts: list[Drawing] = []
    for m, pair in enumerate(sketch.pairs):
        for stage, histogram in enumerate((pair.before, pair.after)):
            medians = {case: sketch.medians[case][m][stage] for case in sorted(sketch.medians)}
            name, unit = STAGES[stage]
            title = f"{modality_title(inspection.modalities[m])}, {name}"
            charts.append(density(title, *histogram.shown(), medians, unit))
    moments = [
        [count.name, *(f"{value:,.1f}" for value in
                       (count.mean, count.mean_between, count.std, count.std_between))]
        for count in modality_counts(inspection.rows, inspection.modalities)
    ]  # fmt: skip
    return {
        "charts": charts,
        "key": histogram_key(inspection.class_set),
        "moments": moments,
        "masks_only": inspection.kind == "masks only",
        "stored_slices": inspection.stored.slices if inspection.stored else None,
    }


def unusual_cases(inspection: Inspection) -> list[dict[str, Any]]:
    """Kinds of unusual cases, with the first ids of each."""
    return [
        {
            "kind": kind.what,
            "count": len(kind.ids),
            "ids": kind.ids[:LISTED],
            "more": max(len(kind.ids) - LISTED, 0),
        }
        for kind in inspection.odd
    ]


def cards(inspection: Inspection, sketch: Sketch) -> dict[str, Any]:
    """Cases that are unusual by their label, with a picture each, by id."""
    kinds = {
        row.id: [kind.what for kind in odd_cases([row], inspection.class_set, ())]
        for row in inspection.labelled
    }
    reasons = {case: names for case, names in kinds.items() if names}
    shown = [
        {"case": case, "reasons": reasons[case], "picture": sketch.pictures.get(case)}
        for case in sorted(reasons)[:PICTURES]
    ]
    return {"shown": shown, "count": len(reasons)}


def case_cells(row: CaseCount) -> list[str]:
    """Cells of one case in the table of all cases; dashes for what needs a label."""
    counts = [f"{row.tumour_planes:,}", *(f"{count:,}" for count in row.voxels[1:])]
    cells = [*counts, f"{row.tumour_ml:,.1f}"] if row.labelled else ["-"] * (len(counts) + 1)
    return [row.id, row.subject, f"{row.planes:,}", *cells]
