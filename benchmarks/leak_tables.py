"""The tables of `docs/leak.md` from `results/leak.json`; a test holds the page against them."""

from bratsprep.config import USUAL_CLASSES
from bratstrain.evaluation.formatting import markdown_table
from bratstrain.leakage.audit import ADJUSTED
from bratstrain.leakage.exposure import COPY, EXPOSURES, OTHER
from bratstrain.leakage.result import MEAN

NETWORKS = {"nnunet": "nnU-Net v2", "resenc_m": "ResEnc M", "resenc_l": "ResEnc L"}
PARTS = USUAL_CLASSES[1:]
MINUS = "\N{MINUS SIGN}"
SCORES = (MEAN, *PARTS, ADJUSTED)


def tables(record):
    """Markdown lines of each table of the page, by its heading."""
    networks = record["networks"]
    found = {
        "means": means_table(networks),
        "same reference": pairs_table(networks, "same reference", SCORES),
        "other reference": pairs_table(networks, "other reference", SCORES),
        "inflation": inflation_table(networks),
        "regression": regression_table(networks),
    }
    if "references" in record:
        found["references"] = references_table(record["references"])
    return found


def means_table(networks):
    """Means of the cases of each kind of exposure, all networks side by side."""
    rows = []
    first = next(iter(networks.values()))
    for kind in ("all", *EXPOSURES):
        groups = [one if kind == "all" else one["exposure"][kind] for one in networks.values()]
        n = first["cases"] if kind == "all" else first["exposure"][kind]["cases"]
        values = [interval(group["means"][MEAN], 3) for group in groups]
        ncr = [plain(group["means"]["NCR"]["value"], 3) for group in groups]
        rows.append([kind, str(n), *values, ", ".join(ncr)])
    return markdown_table(["cases", "n", *map(NETWORKS.get, networks), "NCR alone"], rows)


def pairs_table(networks, kind, scores):
    """Split pairs against pairs within one fold, for each network and score."""
    rows = []
    for name, one in networks.items():
        chosen = {pair["score"]: pair for pair in one["pairs"] if pair["pairs"] == kind}
        for score in scores:
            pair = chosen[score]
            rows.append([
                NETWORKS[name], score,
                f"{plain(pair['split'], 3)} ({pair['n_split']})",
                f"{plain(pair['within'], 3)} ({pair['n_within']})",
                interval(pair["difference"], 3, sign=True),
                p_value(pair["p_one_sided"]),
            ])  # fmt: skip
    head = ["network", "score", "split (pairs)", "one fold (pairs)", "difference (95 %)", "p"]
    return markdown_table(head, rows)


def inflation_table(networks):
    """Estimates of the inflation of the mean of all cases, in points of Dice."""
    rows = []
    for name, one in networks.items():
        by_kind = one["inflation"]["by_kind"]
        estimates = (by_kind[COPY], by_kind[OTHER], one["inflation"]["total"],
                     one["regression"]["inflation"])  # fmt: skip
        points = [{key: 100 * value for key, value in own.items()} for own in estimates]
        rows.append([NETWORKS[name], *(interval(own, 1, sign=True) for own in points)])
    head = ["network", "copies, from pairs", "other cases, from pairs", "both, from pairs",
            "both, from the regression"]  # fmt: skip
    return markdown_table(head, rows)


def regression_table(networks):
    """Effect of each kind of exposure at equal sizes."""
    kinds = EXPOSURES[:-1]
    rows = [
        [NETWORKS[name], *(interval(one["regression"]["effects"][kind], 3, sign=True)
                           for kind in kinds), plain(one["regression"]["r_squared"], 2)]
        for name, one in networks.items()
    ]  # fmt: skip
    return markdown_table(["network", *kinds, "R²"], rows)


def references_table(references):
    """Score against the agreement of the two references."""
    rows = []
    for name, parts in references.items():
        for part, own in parts.items():
            rows.append([
                NETWORKS[name], part,
                *(f"{plain(own[f'agreement_{side}'], 3)}, {plain(own[f'score_{side}'], 3)}"
                  for side in ("split", "within")),
                *(plain(own[f"distance_{side}"], 3) for side in ("split", "within")),
                p_value(own["p_one_sided"]),
            ])  # fmt: skip
    head = ["network", "class", "split: agreement, score", "one fold: agreement, score",
            "distance, split", "distance, one fold", "p"]  # fmt: skip
    return markdown_table(head, rows)


def plain(value, digits, sign=False):
    """A number as the pages write scores: no zero before the point, and a minus sign."""
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if not text.strip("+-0."):
        text = text.lstrip("+-")
    text = text.replace("-", MINUS)
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def interval(estimate, digits, *, sign=False):
    """An estimate with its interval."""
    low, high = (plain(estimate[end], digits) for end in ("low", "high"))
    return f"{plain(estimate['value'], digits, sign)} ({low} to {high})"


def p_value(p):
    """Four digits."""
    return "< .0001" if p < 5e-5 else f"{p:.4f}".removeprefix("0")
