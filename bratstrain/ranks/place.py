"""`Place`: which rank a process is, as torchrun, srun or `fit --gpus` say it.

torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT. srun sets
a number for each task of its step and the list of nodes, whose first one the ranks meet on, at a
port that follows from the numbers of job and step. MASTER_ADDR and MASTER_PORT, where they are set,
decide there too. SLURM_NTASKS is not looked at: a batch script has it as well, and is one process.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bratsprep.errors import BratsError

TORCHRUN: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables without which a process is no rank of torchrun."""
TASKS: Final = "SLURM_STEP_NUM_TASKS"
"""Tasks of a step; set by srun alone."""
FIRST_PORT: Final = 15000
N_PORTS: Final = 10000
FIRST_NODE: Final = re.compile(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?")
"""Prefix, first number and ending of the first node of a list such as `gpu[03-05,9],login`."""


@dataclass(frozen=True, slots=True)
class Place:
    """One process of several that fit a run together."""

    rank: int
    size: int
    local: int
    """Number among the ranks of this machine."""
    n_here: int
    """Ranks of this machine."""
    meeting: str
    """Where the ranks meet, a URL as torch's `init_process_group` takes it."""
    starter: str
    """What has started the ranks, for messages."""


def place_of(environment: Mapping[str, str]) -> Place | None:
    """Find which rank a process is.

    Args:
        environment: variables of the process.

    Returns:
        None for a process that is the only one.

    Raises:
        BratsError: a variable does not hold what it should.
    """
    try:
        if all(name in environment for name in TORCHRUN):
            place = of_torchrun(environment)
        elif TASKS in environment:
            place = of_srun(environment)
        else:
            return None
    except (KeyError, ValueError) as error:
        raise BratsError(
            f"environment: {error} is missing or no whole number; expected what torchrun or srun "
            "sets for each rank"
        ) from error
    return place if place.size > 1 else None


def of_torchrun(environment: Mapping[str, str]) -> Place:
    """Read what torchrun sets."""
    rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    local = int(environment.get("LOCAL_RANK", 0))
    n_here = int(environment.get("LOCAL_WORLD_SIZE", 1))
    return Place(rank, size, local, n_here, "env://", "torchrun")


def of_srun(environment: Mapping[str, str]) -> Place:
    """Read what srun sets for a task of a step."""
    rank, size = int(environment["SLURM_PROCID"]), int(environment[TASKS])
    job, step = (int(environment.get(f"SLURM_{name}_ID", 0)) for name in ("JOB", "STEP"))
    port = int(environment.get("MASTER_PORT", FIRST_PORT + (job + 101 * step) % N_PORTS))
    host = environment.get("MASTER_ADDR") or first_node(environment["SLURM_STEP_NODELIST"])
    node = int(environment.get("SLURM_NODEID", 0))
    n_here = tasks_on(environment.get("SLURM_STEP_TASKS_PER_NODE", str(size)), node)
    local = int(environment["SLURM_LOCALID"])
    return Place(rank, size, local, n_here, f"tcp://{host}:{port}", "srun")


def first_node(nodes: str) -> str:
    """Name the first node of a list such as `gpu[03-05,9],login`.

    Raises:
        ValueError: the list is empty.
    """
    found = FIRST_NODE.match(nodes)
    if found is None:
        raise ValueError("SLURM_STEP_NODELIST")
    return "".join(filter(None, found.groups()))


def tasks_on(counts: str, node: int) -> int:
    """Number of tasks on a node, by a list such as `8(x2),4`."""
    each: list[int] = []
    for part in counts.split(","):
        count, _, times = part.partition("(x")
        each += [int(count)] * int(times.removesuffix(")") or 1)
    return each[node]
