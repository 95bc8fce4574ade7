"""Words of a file name: which modality they mean, which are a label, and which rule a file out.

Words are compared whole. `+`, `-` and `*` belong to a word where they have a meaning: `C+` is with
contrast, `C-` without, `T2*` is no T2w.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bratsprep.config import USUAL_MODALITIES

LABEL: Final = "label"
"""Role of a file that holds the label; the others are USUAL_MODALITIES and BRAIN."""
BRAIN: Final = "brain"
"""Role of a file that holds a brain mask; only a pattern gives it."""
_WORD: Final = re.compile(r"(?:(?<![^_. ])-)?[^-_. ]+(?:-(?![^-_. ]))?")
"""A minus counts where it follows a gap, or precedes one: else it joins two words."""

_ROLES: Final = MappingProxyType(
    {
        **dict.fromkeys(("flair", "fla", "flr", "t2f", "t2flair", "flairw"), "flair"),
        **dict.fromkeys(("t1", "t1w", "t1n", "t1native", "t1pre", "t1c-", "t1-", "t1gd-"), "t1w"),
        **dict.fromkeys(
            (
                "t1gd", "t1ce", "t1c", "t1post", "ct1", "ct1w", "cet1", "cet1w", "gdt1", "t1gad",
                "t1km", "t1ca", "t1wce", "t1wgd", "t1wc", "t1+", "t1c+", "t1+c", "t1gd+", "t1+gd",
                "t1contrast", "t1postcontrast", "t1enhanced",
            ),
            "t1gd",
        ),
        **dict.fromkeys(("t2", "t2w"), "t2w"),
        **dict.fromkeys(
            (
                "seg", "segm", "segmentation", "segmentations", "mask", "label", "labels",
                "tumormask", "tumourmask", "glistrboost",
            ),
            LABEL,
        ),
    }
)  # fmt: skip
"""Role of each word, in small letters."""
_CONTRAST: Final = frozenset(
    {
        "gd", "gd+", "+gd", "ce", "ce+", "c", "c+", "+c", "+", "post", "contrast", "postcontrast",
        "gad", "gadolinium", "km", "enhanced", "postgad", "postgd",
    }
)  # fmt: skip
"""Turn the t1 before them into t1gd."""
_NATIVE: Final = frozenset(
    {"c-", "-c", "gd-", "-gd", "ce-", "pre", "native", "precontrast", "noncontrast", "nc", "-"}
)
"""Leave the t1 before them t1w, and say so."""
_WITHOUT: Final = frozenset({"without", "wo", "no", "non", "pre"})
"""Turn a contrast word after them into its opposite."""
_BEFORE: Final = frozenset({"ce", "gd", "gad", "gadolinium", "km", "contrast"})
"""Turn the t1 after them into t1gd: BIDS writes `ce-gadolinium_T1w`."""
_EXCLUDED: Final = frozenset(
    {
        "star", "*", "t2*", "t2star", "t2s", "t2*w", "swi", "swan", "dwi", "adc", "dti", "fa",
        "md", "pwi", "dsc", "dce", "asl", "cbv", "rcbv", "cbf", "mtt", "ktrans", "map", "t1map",
        "t2map", "bias", "biasfield", "field", "warp", "transform", "pred", "prediction",
        "predicted", "prob", "probability", "probabilities", "pve", "pveseg", "error", "diff",
        "subtraction", "sub+", "unstripped",
    }
)  # fmt: skip
"""A file with one of these behind its modality is not that modality."""
_EXCLUDED_BEFORE: Final = frozenset({"swi", "swan", "dwi", "adc", "pwi", "dsc", "dce", "asl"})
"""Those of them that count in front of a modality too, where a case's id may end."""
_NOT_TUMOUR: Final = frozenset(
    {
        "brain", "head", "skull", "bet", "hdbet", "strip", "stripped", "ventricle", "ventricles",
        "parenchyma", "tissue", "wm", "gm", "csf", "pred", "predicted", "prediction", "auto",
    }
)  # fmt: skip
"""A mask of these is no label."""
_TREATMENT: Final = frozenset({"op", "operative", "surgery", "treatment", "rt", "therapy"})
"""Make `pre` and `post` before them a time, not a word about contrast."""
_TUMOUR: Final = frozenset({"tumor", "tumour", "glioma", "lesion", "manuallycorrected"})
"""May stand beside a label's word."""
_LIKE_LABELS: Final = frozenset(
    {
        "tumor", "tumour", "gt", "truth", "groundtruth", "lesion", "roi", "voi", "annotation",
        "gtv", "annotated", "contour", "delineation",
    }
)  # fmt: skip
"""Words of files that may be labels; only a pattern makes them so."""
_PROCESSED: Final = frozenset(
    {
        "brain", "stripped", "ss", "n4", "reg", "registered", "resampled", "iso", "preproc",
        "preprocessed", "mprage", "3d", "ax", "axial", "sag", "cor", "desc", "space", "sri24",
        "mni",
    }
)  # fmt: skip
"""Words about the making of an image: not part of what its files have in common with a label."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the words of a file name mean."""

    role: str
    """One of USUAL_MODALITIES, or LABEL; empty where the file is none of them."""
    key: str
    """What is left beside the role: the case id, or empty."""
    doubt: str = ""
    """Why it has no role though it has words of one, such as `has flair and t1w in its name`."""
    is_ambiguous: bool = False
    """Whether it may well be a modality, so that it must not be passed over."""


def read_words(text: str) -> Reading:
    """Find the role and the case in a file name without folders and suffix."""
    spans = [match.span() for match in _WORD.finditer(text)]
    words = [text[start:stop].lower() for start, stop in spans]
    roles = [role_of(word) for word in words]
    for i, word in enumerate(words[:-1]):
        if word == "space":  # BIDS: the space that an image was resampled to
            roles[i + 1] = ""
    places = [i for i, role in enumerate(roles) if role]
    if not places:
        return Reading("", "", _doubt_without_role(words))
    first, last = places[0], places[-1]
    if roles[last] == LABEL:
        return _label(text, spans, words, roles)
    modalities = {roles[i] for i in places}
    joined = [roles[i] for i in range(first, last + 1)]
    if modalities == {"t2w", "flair"} and joined == ["t2w", "flair"]:
        modalities = {"flair"}
    if len(modalities) > 1:
        named = " and ".join(sorted(modalities))
        return Reading("", "", f"has {named} in its name", is_ambiguous=True)
    excluded = [word for word in words[max(first - 1, 0) : first] if word in _EXCLUDED_BEFORE]
    excluded += [word for word in words[first:] if word in _EXCLUDED]
    if excluded:
        return Reading("", "", f"{excluded[0]!r} in its name rules it out as {modalities.pop()}")
    return _image(text, spans, words, (first, last), modalities.pop())


def role_of(word: str) -> str:
    """Modality or LABEL that a word in small letters means; empty where it means none."""
    return _ROLES.get(word) or _ROLES.get(word.strip("-"), "")


def is_ruled_out(word: str) -> bool:
    """Whether a word in small letters behind a modality says that the file is not that modality."""
    return word in _EXCLUDED


def bare_key(key: str) -> str:
    """What the names of images have in common, without its last words about their making."""
    spans = [match.span() for match in _WORD.finditer(key)]
    while len(spans) > 1 and key[slice(*spans[-1])].lower() in _PROCESSED:
        spans.pop()
    return key[: spans[-1][1]] if spans else key


def _image(
    text: str,
    spans: Sequence[tuple[int, int]],
    words: Sequence[str],
    place: tuple[int, int],
    role: str,
) -> Reading:
    """Role and case of an image, contrast words beside its modality included."""
    first, last = place
    after = last + 1
    if role == "t1w":
        after, is_contrast = _contrast_after(words, after)
        before = first
        while before > 0 and words[before - 1] in _BEFORE:
            before -= 1
        if is_contrast or (is_contrast is None and before < first):
            role, first = "t1gd", before
    return Reading(role, _rest(text, spans, first, after))


def _contrast_after(words: Sequence[str], start: int) -> tuple[int, bool | None]:
    """Read contrast words.

    Returns:
        Place after them; True with contrast, False without, None where nothing is said.
    """
    if start >= len(words):
        return start, None
    word = words[start]
    following = words[start + 1] if start + 1 < len(words) else ""
    if following in _TREATMENT or word not in _WITHOUT | _NATIVE | _CONTRAST:
        return start, None
    if word in _CONTRAST:
        return start + 1 + (following in _CONTRAST), True
    if word in _WITHOUT and following in _CONTRAST:
        return start + 2, False
    return (start + 1, False) if word in _NATIVE else (start, None)


def _label(
    text: str, spans: Sequence[tuple[int, int]], words: Sequence[str], roles: Sequence[str]
) -> Reading:
    """Role and case of a file whose last word with a role is a label's."""
    last = max(i for i, role in enumerate(roles) if role)
    first = last
    while first > 0 and (roles[first - 1] or words[first - 1] in _TUMOUR):
        first -= 1
    if words[last] == "mask" and any(role in USUAL_MODALITIES for role in roles[first:last]):
        return Reading("", "", "looks like a label, but may be the mask of an image")
    if first > 0 and words[first - 1] in _NOT_TUMOUR:
        return Reading("", "", f"looks like a label, but of {words[first - 1]!r}")
    after = last + 1
    while after < len(words) and words[after] in _TUMOUR:
        after += 1
    if first > 0 and after < len(words):
        return Reading("", "", f"looks like a label, but {words[after]!r} follows its word")
    return Reading(LABEL, _rest(text, spans, first, after))


def _rest(text: str, spans: Sequence[tuple[int, int]], first: int, after: int) -> str:
    """What stands before a group of words, or else after it."""
    before = text[: spans[first][0]].rstrip("-_. ")
    return before or (text[spans[after][0] :] if after < len(spans) else "")


def _doubt_without_role(words: Sequence[str]) -> str:
    """Why a name without any role is worth a remark."""
    if set(words) & _LIKE_LABELS or any(word.endswith(("mask", "seg")) for word in words):
        return "looks like a label"
    return next((f"{word!r} is no modality" for word in words if word in _EXCLUDED), "")
