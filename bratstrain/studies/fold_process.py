"""Fit one fold in a process of its own: `python -m bratstrain.studies.fold_process`.

Standard input is one JSON object: slice file, run folder, settings by name, and the process that
asks. Where that process dies, this one saves a checkpoint and stops.
"""

import sys
import warnings
from typing import Any

from bratsprep.errors import BratsError
from bratstrain.training.children import task_of_parent
from bratstrain.training.fit import fit_at
from bratstrain.training.signals import Stopped


def work(task: dict[str, Any]) -> int:
    """Fit the fold of a task; gives the exit code.

    Args:
        task: `data`, `run` and `settings`.
    """
    name = task["run"].rpartition("/")[2]

    def tell(line: str) -> None:
        sys.stderr.write(f"{name}: {line}\n")

    warnings.simplefilter("ignore")  # said by the process that asks
    try:
        fit_at(None, task["data"], task["run"], tell=tell, **task["settings"])
    except Stopped as stop:
        return 128 + stop.number
    except (BratsError, ValueError) as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(work(task_of_parent()))
