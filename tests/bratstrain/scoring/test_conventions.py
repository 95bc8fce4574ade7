"""Conventions: the published parameters of every task of BraTS, by the name of its convention."""

import pytest

from bratsprep.labels import shipped
from bratstrain.apply_config import Convention as Names
from bratstrain.scoring.conventions import CONVENTIONS, convention_named
from bratstrain.scoring.lesion_rules import RULES

OFFICIAL = {
    "GLI 2023": (3, 50, 374, "", ()),
    "SSA 2023": (3, 50, 374, "", ()),
    "PED 2023": (3, 50, 374, "", ()),
    "MEN 2023": (1, 50, 374, "", ()),
    "MET 2023": (1, 2, 374, "", ()),
    "GLI 2024": (3, 20, 337, "voxels", ("ED", "ET", "NCR", "RC")),
    "MET 2024": (1, 2, None, "voxels", ("ET",)),
    "PED 2024": (5, 10, 374, "voxels", ()),
    "SSA 2024": (3, 50, 374, "voxels", ("ET",)),
    "MEN-RT 2024": (1, 50, None, "mm3", ()),
    "GLI 2025": (3, 20, 337, "voxels", ("ED", "ET", "NCR", "RC")),
    "MET 2025": (1, 2, None, "voxels", ("ET",)),
    "PED 2025": (5, 10, 374, "voxels", ()),
    "SSA 2025": (3, 50, 374, "voxels", ("ET",)),
    "MEN 2025": (1, 50, 374, "", ()),
    "MEN-RT 2025": (1, 50, None, "mm3", ()),
    "PED 2026": (0, 0, 373, "", ()),
    "GoAT 2026": (0, 0, 373, "", ()),
    "MET 2026": (0, 27, 373, "", ()),
}
"""Dilations, volume in mm3 at or below which a lesion of the truth is ignored, penalty of HD95 in
mm (None for the diagonal), unit in which predicted components are dropped, and classes whose
lesions are joined; read from the published code of each year."""
BY_TASK = {task: rule for rule in CONVENTIONS.values() for task in rule.tasks}


@pytest.mark.parametrize("task", OFFICIAL)
def test_task_has_the_published_parameters(task):
    convention = BY_TASK[task]
    rules = RULES[convention.rules]
    got = rules.dilations, rules.least_mm3, convention.penalty_mm, rules.drops_predicted
    assert (*got, tuple(sorted(rules.joins))) == OFFICIAL[task]


def test_every_task_is_of_one_convention():
    assert set(BY_TASK) == set(OFFICIAL)
    assert sum(len(rule.tasks) for rule in CONVENTIONS.values()) == len(OFFICIAL)


def test_exceptions_of_single_tissues_are_those_of_glioma():
    rules = RULES["brats2024"]
    assert [rules.reach(part) for part in ("NCR", "RC", "ED", "ET")] == [5, 5, 3, 3]
    assert [rules.least(part) for part in ("ET", "NCR", "WT")] == [10, 20, 20]
    assert all(not rules.dilations_of for name, rules in RULES.items() if name != "brats2024")


def test_lesions_are_paired_since_2026():
    paired = {name: rules for name, rules in RULES.items() if rules.pairs}
    assert {name: (rules.mean_over, rules.least_dice) for name, rules in paired.items()} == {
        "brats2026": ("found", 0.0), "brats2026-met": ("all", 0.2),
    }  # fmt: skip


def test_border_dice_is_measured_where_the_code_prints_it():
    assert {name for name, rules in RULES.items() if not rules.with_borders} == {
        "brats2023", "brats2023-men", "brats2023-met",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scheme", "task"),
    [
        ("brats2023", "GLI 2023"), ("brats2024", "GLI 2024"), ("brats-met", "MET 2025"),
        ("brats-ped", "PED 2025"), ("brats-men-rt", "MEN-RT 2025"), ("brats-men", "MEN 2025"),
    ],
)  # fmt: skip
def test_scheme_names_the_convention_of_its_task(scheme, task):
    assert task in CONVENTIONS[shipped()[scheme].convention].tasks


def test_options_offer_every_convention():
    assert set(Names.__args__) == set(CONVENTIONS)


def test_conventions_name_existing_rules():
    assert {rule.rules for rule in CONVENTIONS.values()} - {""} == set(RULES)


def test_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="convention 'brats1999' is unknown; one of brats,"):
        convention_named("brats1999")
