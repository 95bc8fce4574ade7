"""`bratstrain card`: a run as a model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Unpack

from bratsprep.errors import BratsError
from bratsprep.settings import take
from bratstrain.apply_config import CardConfig, CardSettings
from bratstrain.pages.card_facts import card_facts
from bratstrain.pages.card_text import NOT_STATED, UNKNOWN, card_text
from bratstrain.pages.html_file import write_page

CARD: Final = "README.md"
"""The name under which hubs look for a card."""


@dataclass(frozen=True, slots=True)
class WrittenCard:
    """Card that was written."""

    path: Path
    n_scores: int
    """Evaluations in it."""
    unknown: int
    """Facts that it says are not stated or not recorded."""

    def lines(self) -> list[str]:
        """Path, and what a person should fill in."""
        found = f"{self.n_scores} evaluation{'' if self.n_scores == 1 else 's'}"
        lines = [f"{self.path}: {found}, {self.unknown} facts not stated or not recorded"]
        if not self.n_scores:
            lines.append("note: it holds no score; run 'bratstrain evaluate' first")
        return lines


def card(
    run: Path | str, *, out: Path | str | None = None, **settings: Unpack[CardSettings]
) -> WrittenCard:
    """Write a model card of a run; `bratstrain.card`.

    Scores are those of the evaluations in the run folder that are of its present weights.

    Example:
        bratstrain.card("runs/a", data_license="CC-BY-SA 4.0")

    Args:
        run: run folder.
        out: Markdown file; `README.md` in the run folder by default.
        **settings: keywords of `bratstrain.apply_config.CardConfig`.

    Raises:
        BratsError: the folder is no finished run, or the file exists already.
        TypeError: a keyword is unknown.
    """
    (own,) = take("card", settings, CardConfig)
    config, folder = CardConfig(**own), Path(run)
    path = folder / CARD if out is None else Path(out)
    facts = card_facts(folder, config.data_license)
    text = card_text(facts)
    if path.exists() and not config.force:
        raise BratsError(
            f"{path}: exists already, and may have been edited; name another file, or replace it "
            "with --force"
        )
    write_page(path, text)
    unknown = text.count(f": {UNKNOWN}") + text.count(f": {NOT_STATED}")
    return WrittenCard(path, len(facts.scores), unknown)
