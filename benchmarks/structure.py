"""How the code is cut: files, functions, imports and docstrings, measured against our limits.

    python -m benchmarks.structure

Prints a table of the two packages and everything beyond a limit. `tests/test_architecture.py`
holds the same limits; `lint-imports` holds the layers.
"""

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PACKAGES = ("bratsprep", "bratstrain")
MEDIAN_LINES = 150
"""Lines that half of the files have at most."""
MAX_LINES = 500
"""Lines of the longest file."""
MAX_FUNCTION_LINES = 40
"""Lines of the longest function, from the line of its `def` to its last."""
MIN_LINES = 40
"""A module with fewer lines counts as small, unless it defines no function."""
MAX_SMALL = 4
"""Small modules in all."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
_ARRAY = re.compile(r"\b(?:NDArray|ArrayLike|Tensor)\b")
_SHAPE = re.compile(r"\((?:[^()\n]*,[^()]*)?\)|\bshape|\bscalar")
"""`(b, c, h, w)`, `(n,)`, `()`, or the word itself, as in "of any shape"."""
_DTYPE = re.compile(
    r"\b(?:u?int(?:8|16|32|64)|float(?:16|32|64)?|bool|complex\d*|structured|dtype)\b"
)


@dataclass(frozen=True)
class Module:
    """One Python file of a package."""

    path: Path

    @cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The source, parsed."""
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """Path from the root of the checkout."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def lines(self) -> int:
        """All lines, blank ones too."""
        return len(self.text.splitlines())

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def code_lines(self) -> int:
        """Lines that hold code: no blank line, no comment, no docstring."""
        prose = {
            line
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        code = {
            line
            for token in tokenize.generate_tokens(io.StringIO(self.text).readline)
            if token.type not in _NOT_CODE
            for line in range(token.start[0], token.end[0] + 1)
        }
        return len(code - prose)


def modules(package: str) -> list[Module]:
    """The files of a package, `__init__` and `__main__` left out."""
    return [Module(path) for path in sorted((ROOT / package).rglob("[!_]*.py"))]


def every_module() -> list[Module]:
    """The files of both packages."""
    return [module for package in PACKAGES for module in modules(package)]


def length(function: Function) -> int:
    """Lines from the `def` to the end, without the docstring; decorators are left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return lines
    return lines - ((first.end_lineno or first.lineno) - first.lineno + 1)


def long_files(chosen: Iterable[Module]) -> Iterator[str]:
    """Name every file over MAX_LINES."""
    for module in chosen:
        if module.lines > MAX_LINES:
            yield f"{module.name}: {module.lines} lines"


def long_functions(chosen: Iterable[Module]) -> Iterator[str]:
    """Name every function over MAX_FUNCTION_LINES."""
    for module in chosen:
        for function in module.functions:
            if length(function) > MAX_FUNCTION_LINES:
                yield f"{module.name}:{function.lineno} {function.name}: {length(function)} lines"


def small_modules(chosen: Iterable[Module]) -> Iterator[str]:
    """Name every module under MIN_LINES that defines a function, so that it is no table of data."""
    for module in chosen:
        if module.lines < MIN_LINES and module.functions:
            yield f"{module.name}: {module.lines} lines"


def hidden_imports(chosen: Iterable[Module]) -> Iterator[str]:
    """Name every import inside a function."""
    for module in chosen:
        for function in module.functions:
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{module.name}:{node.lineno}"


def takes_arrays(function: Function) -> bool:
    """Whether a parameter is annotated as an array or a tensor, or holds some."""
    arguments = function.args
    every = [
        *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs,
        arguments.vararg, arguments.kwarg,
    ]  # fmt: skip
    hints = [ast.unparse(a.annotation) for a in every if a is not None and a.annotation is not None]
    return any(_ARRAY.search(hint) for hint in hints)


def undescribed_arrays(chosen: Iterable[Module]) -> Iterator[str]:
    """Name every function that takes arrays and whose docstring lacks their shape or dtype."""
    for module in chosen:
        texts = _docstrings(module.tree)
        for function in module.functions:
            if not takes_arrays(function) or _is_overload(function):
                continue
            patterns = {"shape": _SHAPE, "dtype": _DTYPE}
            missing = [what for what, p in patterns.items() if not p.search(texts[function])]
            if missing:
                where = f"{module.name}:{function.lineno} {function.name}"
                yield f"{where}: docstring lacks {' and '.join(missing)}"


def _docstrings(tree: ast.Module) -> dict[Function, str]:
    """Docstring of every function; for `__init__`, which has none by our rules, of its class."""
    nodes = list(ast.walk(tree))
    texts = {node: ast.get_docstring(node) or "" for node in nodes if isinstance(node, Function)}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and inner.name == "__init__":
                    texts[inner] += ast.get_docstring(node) or ""
    return texts


def _is_overload(function: Function) -> bool:
    """Whether a function is one of several signatures of another, which has the docstring."""
    return any(ast.unparse(mark).endswith("overload") for mark in function.decorator_list)


def import_circle(*packages: str) -> list[str]:
    """Find modules that import each other in a circle.

    Args:
        packages: importable packages; imports between them count too.

    Returns:
        The modules of one circle, the first of them at the end again; empty where none exists.
    """
    graph = grimp.build_graph(*packages, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def table() -> str:
    """Markdown table of the numbers, a row a package."""
    rows = [
        "| package | files | median | longest | longest function | lines | code |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for package in PACKAGES:
        files = modules(package)
        sizes = [module.lines for module in files]
        functions = [length(function) for module in files for function in module.functions]
        code = sum(module.code_lines for module in files)
        rows.append(
            f"| {package} | {len(files)} | {statistics.median(sizes):.0f} | {max(sizes)} "
            f"| {max(functions)} | {sum(sizes):,} | {code:,} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Print the table and everything beyond a limit."""
    chosen = every_module()
    print(table())
    for title, lines in (
        (f"files over {MAX_LINES} lines", long_files(chosen)),
        (f"functions over {MAX_FUNCTION_LINES} lines", long_functions(chosen)),
        (f"modules under {MIN_LINES} lines, {MAX_SMALL} allowed", small_modules(chosen)),
        ("imports inside functions", hidden_imports(chosen)),
        ("import circle", import_circle(*PACKAGES)),
        ("arrays without shape or dtype", undescribed_arrays(chosen)),
    ):
        offenders = [*lines]
        print(f"\n{title}: {len(offenders)}", *offenders, sep="\n  ")


if __name__ == "__main__":
    main()
