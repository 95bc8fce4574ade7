"""The structure script, on modules written for it."""

import textwrap

import pytest

from benchmarks import structure


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module and read it as one of ours."""
    monkeypatch.setattr(structure, "ROOT", tmp_path)

    def write(source):
        path = tmp_path / "part.py"
        path.write_text(textwrap.dedent(source).lstrip())
        return structure.Module(path)

    return write


def function(n_lines):
    """A function of so many lines, the `def` included."""
    return "def work():\n" + "    call()\n" * (n_lines - 1)


def test_a_function_is_measured_from_its_def_to_its_end(module):
    longest = structure.MAX_FUNCTION_LINES
    assert [*structure.long_functions([module("@cache\n" + function(longest))])] == []
    assert [*structure.long_functions([module(function(longest + 1))])] == [
        f"part.py:1 work: {longest + 1} lines"
    ]


def test_a_file_over_the_limit_is_named(module):
    longest = structure.MAX_LINES
    assert [*structure.long_files([module("x = 1\n" * longest)])] == []
    assert len([*structure.long_files([module("x = 1\n" * (longest + 1))])]) == 1


def test_a_table_of_data_may_be_small(module):
    assert [*structure.small_modules([module("COLOURS = (1, 2)\n")])] == []
    assert [*structure.small_modules([module(function(3))])] == ["part.py: 3 lines"]


def test_an_import_inside_a_method_is_named(module):
    source = """
        import json
        class Case:
            def read(self):
                import os
    """
    assert [*structure.hidden_imports([module(source)])] == ["part.py:4"]


@pytest.mark.parametrize(
    ("docstring", "missing"),
    [
        ("Cut. Args: volume: (z, y, x) float32.", None),
        ("Cut. Args: volume: of any shape and dtype.", None),
        ("Cut. Args: volume: (n,) bool.", None),
        ("Cut (quickly) a float32 volume.", "shape"),
        ("Cut a (z, y, x) volume.", "dtype"),
        ("Cut the volume.", "shape and dtype"),
    ],
)
def test_an_array_needs_shape_and_dtype(module, docstring, missing):
    source = f'def cut(volume: "NDArray[np.float32]"):\n    """{docstring}"""\n'
    expected = [f"part.py:1 cut: docstring lacks {missing}"] if missing else []
    assert [*structure.undescribed_arrays([module(source)])] == expected


def test_the_arrays_of_init_are_described_in_the_class(module):
    source = '''
        class Loader:
            """Read (n,) int64 rows."""
            def __init__(self, rows: NDArray[np.int64]): ...
    '''
    assert [*structure.undescribed_arrays([module(source)])] == []


def test_functions_without_arrays_need_no_shape(module):
    assert [*structure.undescribed_arrays([module("def add(a: int, *b: int): ...\n")])] == []


def test_code_lines_are_neither_blank_nor_prose(module):
    source = '''
        """Docstring

        of three lines."""

        # comment
        NAMES = (
            "a",
        )

        def work():
            """Docstring."""
            return NAMES  # why
    '''
    assert module(source).code_lines == 5


def test_a_circle_of_imports_is_found(tmp_path, monkeypatch):
    package = tmp_path / "circled"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, imported in (("one", "two"), ("two", "three"), ("three", "one")):
        (package / f"{name}.py").write_text(f"from circled import {imported}\n")
    monkeypatch.syspath_prepend(tmp_path)
    circle = structure.import_circle("circled")
    assert set(circle) == {"circled.one", "circled.two", "circled.three"}
    assert circle[0] == circle[-1]


def test_the_table_has_a_row_for_each_package():
    rows = structure.table().splitlines()
    assert [row.split(" ")[1] for row in rows[2:]] == [*structure.PACKAGES]
