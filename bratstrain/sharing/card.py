"""The model card of a published network: that of its run, without a word on any single case."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.tables import EVERYTHING
from bratstrain.pages.card_facts import card_facts
from bratstrain.pages.card_text import CardFacts, card_text
from bratstrain.runs.checkpoint import Weights
from bratstrain.runs.files import read_json
from bratstrain.runs.fitted import read_split

WITHHELD: Final = "a sentence of the run that names cases is left out"
CHECKED: Final = (
    "The folder holds no code, case id or image; 'sha256sum --check SHA256SUMS' verifies it."
)


def shared_card(run: Path, weights: Weights, data_license: str = "") -> str:
    """Write the card of a run in Markdown, for people who must not learn of any case.

    Args:
        run: finished run folder.
        weights: of the run.
        data_license: as the user states it; empty where nothing is stated.

    Raises:
        BratsError: the folder is no finished run.
    """
    facts = without_cases(card_facts(run, data_license, weights=weights), known_ids(run))
    return card_text(replace(facts, usage="bratstrain predict FOLDER RAW -o OUT"))


def known_ids(run: Path) -> set[str]:
    """Ids of cases and subjects that the files of a run name."""
    split = read_split(run)
    ids = {*map(str, split.trained_cases), *split.test, *split.subjects, *split.subjects.values()}
    ids.update(split.sliced or map(str, split.validation))
    for path in run.glob(f"evaluation-*/{EVERYTHING}"):
        ids.update(Evaluation(run, read_json(path)).cases)
    return ids


def without_cases(facts: CardFacts, ids: Iterable[str]) -> CardFacts:
    """Leave out of a card the sentences that name a case.

    Args:
        facts: of the run.
        ids: that must not stand in it.
    """
    words = "|".join(re.escape(each) for each in sorted(ids, key=len, reverse=True) if each)
    named = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])") if words else None

    def kept(sentences: Sequence[str]) -> list[str]:
        """Sentences without an id; the others are replaced, so that the gap shows."""
        return [WITHHELD if named and named.search(text) else text for text in sentences]

    split = dict(zip(facts.split, kept([*facts.split.values()]), strict=True))
    scores = [replace(each, said=kept(each.said)) for each in facts.scores]
    return replace(facts, split=split, scores=scores, limits=[*kept(facts.limits), CHECKED])
