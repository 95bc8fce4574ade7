"""A model card in Markdown, with the front matter that model hubs read.

Everything is given as plain text and numbers. The front matter is that of Hugging Face's model
cards (https://huggingface.co/docs/hub/model-cards): YAML, of which every string here is a quoted
one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bratstrain.evaluation.formatting import markdown_table

NOT_STATED: Final = "not stated"
UNKNOWN: Final = "not recorded"
TAGS: Final = ("medical-imaging", "mri", "brain-tumor", "segmentation", "pytorch", "bratstrain")
MEDICAL: Final = "Research use only. Not a medical device: no diagnosis and no treatment."


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSet:
    """Scores of one evaluation."""

    title: str
    """Which cases and planes."""
    convention: str
    """Of empty masks."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Text; the first cell is the name of a class, region or mean."""
    said: Sequence[str] = ()
    """Caveats, and what is known of repeated patients."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Values for the front matter, by the name of the metric and its part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a model card says."""

    name: str
    about: str
    """What the network does, a sentence or two."""
    data: Mapping[str, str]
    split: Mapping[str, str]
    preparation: Mapping[str, str]
    network: Mapping[str, str]
    training: Mapping[str, str]
    scores: Sequence[ScoreSet] = ()
    limits: Sequence[str] = ()
    usage: str = ""
    """Commands, as code."""
    data_license: str = ""
    """As the user states it; empty where nothing is stated."""
    weights_license: str = ""
    """An id of a license that a hub knows, such as `cc-by-4.0`; empty where nothing is stated."""
    data_name: str = ""
    """Of the data set, for the front matter."""


def card_text(facts: CardFacts) -> str:
    """Write the card; what is unknown is said to be unknown."""
    license_of_data = facts.data_license or NOT_STATED
    license_of_weights = facts.weights_license or NOT_STATED
    parts = [
        *front_matter(facts),
        f"# {line(facts.name)}",
        facts.about,
        f"**{MEDICAL}**",
        *listed("Data", {**facts.data, "licence of the data": license_of_data}),
        *listed("Split", facts.split),
        *scores(facts.scores),
        *listed("Preparation of the images", facts.preparation),
        *listed("Network", {**facts.network, "licence of the weights": license_of_weights}),
        *listed("Training", facts.training),
        "## Limits",
        "\n".join(f"- {limit}" for limit in [*facts.limits, MEDICAL]),
    ]
    if facts.usage:
        parts += ["## Use", f"```text\n{facts.usage}\n```"]
    return "\n\n".join([*parts, "Made by bratstrain card."]) + "\n"


def front_matter(facts: CardFacts) -> Iterator[str]:
    """YAML between two lines of dashes."""
    lines = [
        "---",
        "library_name: pytorch",
        f"license: {quoted(facts.weights_license or 'unknown')}",
        "pipeline_tag: image-segmentation",
        "tags:",
        *(f"- {tag}" for tag in TAGS),
    ]
    results = [each for each in facts.scores if each.metrics]
    if results:
        lines += ["model-index:", f"- name: {quoted(facts.name)}", "  results:"]
    for each in results:
        lines += [
            "  - task:",
            "      type: image-segmentation",
            "    dataset:",
            f"      type: {quoted(facts.data_name or UNKNOWN)}",
            f"      name: {quoted(each.title)}",
            "    metrics:",
        ]
        for metric, value in each.metrics.items():
            name = f"{metric} (convention {each.convention})"
            lines += [
                "    - type: dice",
                f"      name: {quoted(name)}",
                f"      value: {value:.4f}",
            ]
    yield "\n".join([*lines, "---"])


def scores(sets: Sequence[ScoreSet]) -> Iterator[str]:
    """Table of each evaluation, with what qualifies it."""
    yield "## Scores"
    if not sets:
        yield "No evaluation of these weights is in the run folder: how good they are is unknown."
    for each in sets:
        yield f"### {line(each.title)}"
        yield f"Convention for empty masks: {each.convention}."
        yield "\n".join(markdown_table(list(each.head), [[*map(cell, row)] for row in each.rows]))
        if each.said:
            yield "\n".join(f"- {line(note)}" for note in each.said)


def listed(title: str, facts: Mapping[str, str]) -> Iterator[str]:
    """Facts as a list under a heading; an empty one is said to be not recorded."""
    yield f"## {title}"
    yield "\n".join(f"- **{name}**: {line(value) or UNKNOWN}" for name, value in facts.items())


def line(value: str) -> str:
    """Text on one line."""
    return " ".join(str(value).split())


def cell(value: str) -> str:
    """Text of a cell of a Markdown table."""
    return line(value).replace("|", "\\|")


def quoted(value: str) -> str:
    """A YAML string in double quotes; what cannot be printed becomes a question mark."""
    shown = "".join(one if one.isprintable() else "?" for one in line(value))
    return json.dumps(shown, ensure_ascii=False)
