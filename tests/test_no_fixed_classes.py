"""Modalities, classes and regions are data: no module of the packages names a number of them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("volumes", "slicefile", "building", "inspection", "repeats", "verification")
MODULES = [
    *(path for room in ROOMS for path in sorted((ROOT / "bratsprep" / room).glob("*.py"))),
    *sorted((ROOT / "bratstrain").rglob("*.py")),
]
GONE = {"MODALITIES", "CLASSES", "REGIONS", "SCHEMES", "PART_LABELS", "N_CLASSES", "MEANS"}
FIXED_SHAPE = re.compile(r"\((?:[bsn], )?4, (?:z, y, x|h, w|y, x)\)|\(z, 4, 4\)")


def faults(tree):
    """What stands for four modalities or classes, or for one class by its place."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.alias(name=name) if name in GONE:
                yield f"{node.lineno}: {name}"
            case ast.Call(func=ast.Name(id="range"), args=[*_, ast.Constant(value=4)]):
                yield f"{node.lineno}: range to 4"
            case ast.Constant(value=str(text)) if FIXED_SHAPE.search(text):
                yield f"{node.lineno}: a shape of 4"
            case ast.Subscript(
                value=ast.Subscript(slice=ast.Constant(value="voxels")),
                slice=ast.Tuple(elts=[ast.Slice(), ast.Constant(value=int())]),
            ):
                yield f"{node.lineno}: voxels of one class by its place"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_a_fixed_number_of_modalities_or_classes(path):
    assert [*faults(ast.parse(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    ["MODALITIES", "range(4)", "range(1, 4)", "'(b, 4, h, w) float32'", "c['voxels'][:, 3]"],
)
def test_fixed_numbers_are_recognised(text):
    assert len([*faults(ast.parse(text))]) == 1
