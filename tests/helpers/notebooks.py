"""The notebooks, made from `notebooks/source.jinja`: `python -m tests.helpers.notebooks`.

The source holds the cells of all of them, each below a line `%% markdown` or `%% code`, and a word
more for a tag.
"""

import json
from pathlib import Path

import jinja2

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
SOURCE = FOLDER / "source.jinja"
PLACES = {"colab": 50, "kaggle": 600}
"""Minutes of fitting by the name of the notebook."""
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
COLAB = {"accelerator": "GPU", "colab": {"gpuType": "T4", "provenance": []}}


def notebook(place):
    """Text of the notebook of a place."""
    engine = jinja2.Environment(  # noqa: S701  of JSON, not of HTML
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    whole = engine.from_string(SOURCE.read_text()).render(place=place, minutes=PLACES[place])
    pieces = whole.split("%% ")[1:]
    content = {
        "cells": [cell(number, piece) for number, piece in enumerate(pieces)],
        "metadata": (COLAB if place == "colab" else {}) | KERNEL,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def cell(number, piece):
    """A cell from its head and its lines."""
    head, _, body = piece.partition("\n")
    kind, *tags = head.split()
    made = {
        "cell_type": kind, "id": f"cell-{number:02}", "metadata": {"tags": tags} if tags else {},
        "source": body.strip("\n").splitlines(keepends=True),
    }  # fmt: skip
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def main():
    """Write the notebooks."""
    for place in PLACES:
        (FOLDER / f"{place}.ipynb").write_text(notebook(place))


if __name__ == "__main__":
    main()
