"""`docs/settings.md`, made from the settings: `python -m tests.helpers.settings_page` writes it."""

from dataclasses import MISSING
from pathlib import Path

from bratsprep.config import FaultConfig, FilesConfig, PhantomConfig, PrepConfig
from bratsprep.options import option_name
from bratsprep.part import PartConfig
from bratsprep.settings import choices, default_text, described, facts_of, keywords
from bratstrain.apply_config import (
    ApplyConfig,
    CardConfig,
    CrossvalConfig,
    OutputConfig,
    ReportConfig,
    ShownConfig,
    SplitsConfig,
    StudyConfig,
)
from bratstrain.config import ModelConfig, Session, TrainConfig
from bratstrain.recipes import recipe_defaults

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"
HEAD = """# Settings

Every setting of both packages: its keyword in Python and in TOML files, its option on the command
line, its default and its meaning. The tables are made from the same fields that check the values
and make the options; `python -m tests.helpers.settings_page` writes them anew.

An unknown keyword is a `TypeError`. A value that is not allowed, or that has no effect beside the
others, is a `ValueError`. On the command line both end with exit code 2, and a fault of the data
(`BratsError`) with exit code 1.
"""
SECTIONS = (
    (
        "A slice file",
        "`bratsprep.build`, `bratsprep build`, and `[build]` of a study.",
        [PrepConfig],
    ),
    (
        "Raw data",
        (
            "`bratsprep.inspect`, `inspect_page`, `twins` and their commands. `bratsprep.build`,\n"
            "`dry_run`, and `bratstrain.predict`, `report` and `compare` take `on_error` too."
        ),
        [FilesConfig, FaultConfig],
    ),
    (
        "A part of a build",
        "`bratsprep.build`, `bratsprep build`; see [cluster.md](cluster.md).",
        [PartConfig],
    ),
    ("Phantoms", "`bratsprep.phantoms`, `bratsprep phantom`.", [PhantomConfig]),
    (
        "A run",
        (
            "`bratstrain.fit`, `bratstrain fit`, and `[fit]` of a study. Settings that are not\n"
            "given are taken from the recipe, or from the run being resumed."
        ),
        [TrainConfig, ModelConfig],
    ),
    (
        "A session of a run",
        "`bratstrain.fit`, `bratstrain fit`; they may differ each time a run is resumed.",
        [Session],
    ),
    (
        "Applying a run",
        "`bratstrain.predict`, `evaluate`, `report`, `compare`, and the commands of these names.",
        [ApplyConfig],
    ),
    (
        "Writing predictions",
        "`bratstrain.predict`, `bratstrain predict`.",
        [OutputConfig],
    ),
    (
        "Scores",
        (
            "`bratstrain.evaluate`, `bratstrain evaluate`; `bratstrain.score_folders` takes all\n"
            "but `pictures` and `tune_cleanup`."
        ),
        [ReportConfig],
    ),
    ("A report", "`bratstrain.report`, `bratstrain report`.", [ShownConfig]),
    ("A model card", "`bratstrain.card`, `bratstrain card`.", [CardConfig]),
    ("A study", "`bratstrain.study`, `bratstrain study`.", [StudyConfig]),
    (
        "A cross-validation",
        (
            "`bratstrain.crossval`, `bratstrain crossval`, beside the settings of a run but\n"
            "`fold`, of a session, and of raw data."
        ),
        [CrossvalConfig],
    ),
    ("Folds for nnU-Net", "`bratstrain.splits`, `bratstrain splits`.", [SplitsConfig]),
)


def page():
    """The text of the page."""
    parts = [HEAD]
    for title, about, kinds in SECTIONS:
        parts.append(f"## {title}\n\n{about}\n\n{table(kinds)}\n")
    return "\n".join(parts)


def table(kinds):
    """One row for each setting of some classes."""
    rows = ["| keyword | option | values | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for kind in kinds:
        for name, member in keywords(kind).items():
            facts = facts_of(member)
            option = f"`{option_name(name, facts)}`" if name != "pictures" else ""
            cells = f"`{name}`", option, values(member), default(kind, name, member), facts.help
            rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(rows)


def values(member):
    """What a setting may be."""
    facts = facts_of(member)
    if words := choices(member.type):
        return ", ".join(f"`{word}`" for word in words if word)
    bounds = facts.bounds()
    return described(member.type) + (f", {bounds}" if bounds else "")


def default(kind, name, member):
    """The default, of each recipe where they differ."""
    if kind in (TrainConfig, ModelConfig):
        texts = {
            recipe: default_text(member, values[name])
            for recipe, values in recipe_defaults().items()
            if name in values
        }
        if len(set(texts.values())) > 1:
            return ", ".join(f"{recipe}: `{text}`" for recipe, text in texts.items())
        return f"`{next(iter(texts.values()))}`"
    text = "" if member.default is MISSING else default_text(member, member.default)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    PAGE.write_text(page())
