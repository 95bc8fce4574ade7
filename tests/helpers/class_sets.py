"""Class sets of the tests: those of the releases, and two that no release has."""

from pathlib import Path

from bratsprep.config import USUAL_MODALITIES
from bratsprep.labels import parse_scheme, scheme
from bratsprep.volumes.case_volumes import Asked

SCHEME = scheme("brats2017")
"""Of BraTS 2017 to 2021: 1 core, 2 oedema, 4 enhancing."""
GLIOMA = SCHEME.classes
"""NCR, ED, ET; regions ET, TC, WT."""
ASKED = Asked(USUAL_MODALITIES, GLIOMA)
GLIOMA_2024 = scheme("brats2024").classes
"""The same and the resection cavity RC, class and region."""

SIX_TOML = """
about = "six tissues in three regions, for tests"

[[class]]
name = "core"
codes = { 1 = "core" }
colour = "#D55E00"

[[class]]
name = "oedema"
codes = { 2 = "oedema" }
colour = "#56B4E9"

[[class]]
name = "rim"
codes = { 4 = "rim" }
colour = "#F0E442"

[[class]]
name = "cyst"
codes = { 5 = "cyst" }
colour = "#009E73"

[[class]]
name = "bleed"
codes = { 6 = "bleed" }
colour = "#CC79A7"

[[class]]
name = "scar"
codes = { 9 = "scar" }
colour = "#0072B2"

[regions]
solid = ["core", "rim"]
fluid = ["cyst", "bleed"]
all = ["core", "oedema", "rim", "cyst", "bleed", "scar"]
"""
"""A scheme of six classes and three regions, with gaps between the raw values."""
ONE_TOML = """
about = "one tissue, for tests"

[[class]]
name = "lesion"
codes = { 1 = "lesion" }
colour = "#D55E00"
"""
"""A scheme of one class, which is its only region."""
SIX = parse_scheme("six", SIX_TOML)
ONE = parse_scheme("one", ONE_TOML)


def written(folder, text=SIX_TOML, name="six"):
    """Write a scheme as a TOML file; gives its path."""
    path = Path(folder) / f"{name}.toml"
    path.write_text(text)
    return path
