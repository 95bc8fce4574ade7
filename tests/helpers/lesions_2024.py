"""The evaluation of BraTS 2024 written from its rules with SciPy and cc3d, whole volumes at a time.

An oracle for `bratstrain.scoring.lesions`, slow on purpose; it shares no code with it.
"""

import math
from itertools import product

import cc3d
import numpy as np
from scipy import ndimage
from surface_distance import lookup_tables
from surface_distance import metrics as published

EIGHTEEN = ndimage.generate_binary_structure(3, 2)
SIX = ndimage.generate_binary_structure(3, 1)
PARTS = {
    "GLI": {"WT": (1, 2, 3), "TC": (1, 3), "NETC": (1,), "SNFH": (2,), "ET": (3,), "RC": (4,)},
    "MET": {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "NETC": (1,), "RC": (4,)},
    "PED": {"WT": (1, 2, 3, 4), "TC": (1, 2, 3), "ET": (1,), "NETC": (2,), "CC": (3,), "ED": (4,)},
    "SSA": {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,), "NETC": (1,)},
    "MEN": {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)},
    "MEN_RT": {"GTV": (1,)},
}
"""Label values of each class and region of each task."""
LIMITS = {"GLI": 20, "MET": 2, "PED": 10, "SSA": 50, "MEN": 50, "MEN_RT": 50}
DILATIONS = {"GLI": 3, "MET": 1, "PED": 5, "SSA": 3, "MEN": 1, "MEN_RT": 1}
JOINS = {
    "GLI": {
        "NETC": ("ET", "RC"), "ET": ("NETC", "RC"), "RC": ("ET", "NETC"),
        "SNFH": ("ET", "RC", "NETC"),
    },
    "MET": {"ET": ("NETC",)},
    "SSA": {"ET": ("NETC",)},
}  # fmt: skip


def limit(task, part):
    return 10 if (task, part) == ("GLI", "ET") else LIMITS[task]


def reach(task, part):
    return 5 if task == "GLI" and part in ("NETC", "RC") else DILATIONS[task]


def penalty(task, shape):
    diagonal = math.sqrt(sum(side**2 for side in shape))
    return {"GLI": 337.0, "MET": diagonal, "MEN_RT": diagonal}.get(task, 374.0)


def grown(mask, times):
    return ndimage.binary_dilation(mask, EIGHTEEN, iterations=times)


def grouped(mask, times):
    zones = cc3d.connected_components(grown(mask, times), connectivity=26).astype(np.int64)
    return zones * mask


def dropped(labels, least):
    for number in np.unique(labels):
        if number and np.count_nonzero(labels == number) <= least:
            labels = np.where(labels == number, 0, labels)
    return labels


def joined(labels, others):
    """Join the lesions of a tissue through several others, as the rules describe it."""
    for other in others:
        pairs = []
        for own in np.unique(labels[labels > 0]):
            near = other[grown(labels == own, 1)]
            pairs += [(int(own), int(number)) for number in np.unique(near[near > 0])]
        if len(pairs) < 2:
            continue
        pairs.sort()
        common = {}
        for _, number in pairs:
            common.setdefault(number, int(labels.max()) + 1 + len(common))
        moved = labels.copy()
        for own in {own for own, _ in pairs}:
            first = next(number for mine, number in pairs if mine == own)
            moved[labels == own] = common[first]
        labels = moved
    numbers = np.unique(labels[labels > 0])
    return np.searchsorted(numbers, labels, side="left") * (labels > 0) + (labels > 0)


def numbered(label, task, spacing, *, is_truth):
    """Numbered lesions of every class and region of one side."""
    volumes = {}
    for part, values in PARTS[task].items():
        mask = np.isin(label, values)
        if is_truth or task != "MEN":
            volumes[part] = grouped(mask, reach(task, part))
        else:
            volumes[part] = cc3d.connected_components(mask, connectivity=26).astype(np.int64)
        if not is_truth and task != "MEN":
            unit = math.prod(spacing) if task == "MEN_RT" else 1
            volumes[part] = dropped(volumes[part], limit(task, part) / unit)
    made = dict(volumes)
    for part, others in JOINS.get(task, {}).items():
        made[part] = joined(volumes[part], [volumes[other] for other in others])
    return made


def distance_95(truth, predicted, spacing):
    if not truth.any() and not predicted.any():
        return 0.0
    if not truth.any() or not predicted.any():
        return math.inf
    surfaces = published.compute_surface_distances(truth, predicted, spacing[::-1])
    return float(published.compute_robust_hausdorff(surfaces, 95))


def numbered_distance_95(truth, predicted, spacing):
    """HD95 of volumes of lesion numbers, whose neighbour codes are sums modulo 256."""
    if not truth.any() or not predicted.any():
        return 0.0 if truth.any() == predicted.any() else math.inf
    areas = lookup_tables.create_table_neighbour_code_to_surface_area(spacing[::-1])
    codes = []
    for volume in (truth, predicted):
        code = np.zeros(np.add(volume.shape, 1), np.int64)
        for bit, (z, y, x) in enumerate(product((0, 1), repeat=3)):
            code[z : z + volume.shape[0], y : y + volume.shape[1], x : x + volume.shape[2]] += (
                volume << bit
            )
        codes.append(code % 256)
    worst = []
    for one, other in (codes, codes[::-1]):
        inside, target = ((code != 0) & (code != 255) for code in (one, other))
        away = ndimage.distance_transform_edt(~target, sampling=spacing[::-1])[inside]
        rows = sorted(zip(away.tolist(), areas[one[inside]].tolist(), strict=True))
        share = np.cumsum([area for _, area in rows]) / sum(area for _, area in rows)
        worst.append(rows[min(int(np.searchsorted(share, 0.95)), len(rows) - 1)][0])
    return max(worst)


def border(mask):
    return mask & ~ndimage.binary_erosion(mask, SIX)


def border_dice(truth, predicted, spacing, tolerance):
    if not truth.any() or not predicted.any():
        return float(truth.any() == predicted.any())
    shares = []
    for one, other in ((truth, predicted), (predicted, truth)):
        away = ndimage.distance_transform_edt(~border(other), sampling=spacing[::-1])
        shares.append(np.mean(away[border(one)] <= tolerance))
    return float(sum(shares) / (2 + 1e-8))


def dice(truth, predicted):
    total = truth.sum() + predicted.sum()
    return float(2 * (truth & predicted).sum() / total) if total else 1.0


def official(truth, predicted, spacing, task):
    """Every score of every class and region, by the names that the official code prints.

    Args:
        truth: (z, y, x) raw label values.
        predicted: the same.
        spacing: (3,) mm along x, y, z.
        task: `GLI`, `MET`, `PED`, `SSA`, `MEN` or `MEN_RT`.
    """
    truth, predicted = (np.ascontiguousarray(side.transpose()) for side in (truth, predicted))
    spacing = spacing[::-1]  # lesions are numbered with x slowest, as in the official code
    true = numbered(truth, task, spacing, is_truth=True)
    said = numbered(predicted, task, spacing, is_truth=False)
    return {part: scores_of(true[part], said[part], spacing, task, part) for part in PARTS[task]}


def scores_of(true, said, spacing, task, part):
    worst = penalty(task, true.shape)
    rows, claimed, n_kept_found = [], set(), 0
    for number in range(1, int(true.max()) + 1):
        lesion = true == number
        members = set(np.unique(said[grown(lesion, reach(task, part))])) - {0}
        claimed |= members
        if lesion.sum() * math.prod(spacing) <= limit(task, part):
            continue
        union = np.isin(said, list(members))
        away = distance_95(lesion, union, spacing)
        rows.append([
            dice(lesion, union),
            away if math.isfinite(away) else worst,
            *(border_dice(lesion, union, spacing, mm) for mm in (0.5, 1.0)),
        ])  # fmt: skip
        n_kept_found += bool(members)
    n_false = len(set(np.unique(said)) - {0} - claimed)
    counted = 0 if task == "MEN_RT" else n_false
    rows += [[0, worst, 0, 0]] * counted
    means = np.mean(rows, axis=0) if rows else [1, 0, 1, 1]
    whole = true > 0, said > 0
    measure = (distance_95, whole) if task == "MEN" else (numbered_distance_95, (true, said))
    away = measure[0](*measure[1], spacing)
    return {
        "Num_TP": n_kept_found,
        "Num_FP": n_false,
        "Num_FN": len(rows) - counted - n_kept_found,
        "Legacy_Dice": dice(*whole),
        "Legacy_HD95": away if math.isfinite(away) else worst,
        "Legacy NSD @ 0.5": border_dice(*whole, spacing, 0.5),
        "Legacy NSD @ 1.0": border_dice(*whole, spacing, 1.0),
        "GT_Complete_Volume": float(whole[0].sum() * math.prod(spacing)),
        "LesionWise_Score_Dice": means[0],
        "LesionWise_Score_HD95": means[1],
        "LesionWise_Score_NSD @ 0.5": means[2],
        "LesionWise_Score_NSD @ 1.0": means[3],
    }


def printed_rates(true, said):
    """Sensitivity and specificity as the official code prints them.

    It takes both from volumes of lesion numbers and not of 0 and 1, so that they are rates only
    where there is one lesion; they are reproduced here to hold the numbers of the lesions.
    """
    tp = float(np.count_nonzero((said == 1) & (true == 1)))
    fp, fn = said.sum() - tp, true.sum() - tp
    tn = float(np.count_nonzero((said != 1) & (true != 1)))
    tiny = np.finfo(float).tiny
    sensitivity = 1.0 if not said.any() and not true.any() else tp / (tp + fn + tiny)
    return sensitivity, tn / (tn + fp + tiny)
