"""Two ranks on the processor, as processes that run a few lines each."""

import subprocess
import textwrap
from pathlib import Path

import torch

from bratstrain.ranks.place import Place

ROOT = Path(__file__).parent.parent.parent
HEAD = """
import sys, torch
from bratstrain.ranks.place import Place
from bratstrain.ranks.process_group import joined
torch.set_num_threads(1)
folder, rank, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with joined(Place(rank, size, rank, size, f"file://{folder}/store", "test"),
            torch.device("cpu")) as group:
    found = {}
"""
FOOT = """
    torch.save(found, f"{folder}/rank{rank}.pt")
import os
os._exit(0)
"""


def place_of_one(folder):
    """A group of one that sends messages all the same."""
    return Place(0, 1, 0, 1, f"file://{folder}/store", "test")


def found_by_ranks(programs, folder, code, size=2):
    """Run code in each of some ranks, which fills the dict `found`; gives that of each.

    The code knows `group`, `rank` and `size`, and `torch`. `programs` is the fixture of that name.
    """
    folder.mkdir(exist_ok=True)
    whole = HEAD + textwrap.indent(textwrap.dedent(code), "    ") + FOOT
    processes = [
        subprocess.Popen(
            [programs / "python", "-c", whole, folder, str(rank), str(size)],
            cwd=ROOT, env={"PATH": "", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * size, said
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(size)]
