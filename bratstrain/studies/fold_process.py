"""Fit one fold in a process of its own: `python -m bratstrain.studies.fold_process`.

Standard input is one JSON object: slice file, run folder, settings by name, and the process that
asks. Where that process dies, this one saves a checkpoint and stops.
"""

import json
import os
import signal
import sys
import threading
import time
import warnings
from typing import Any, Final

from bratsprep.errors import BratsError
from bratstrain.training.fit import fit
from bratstrain.training.signals import Stopped

LOOK_S: Final = 0.5
"""Between two looks at the parent."""


def watch(parent: int) -> None:
    """Stop this process as SIGTERM does when its parent is gone.

    Args:
        parent: number of that process.
    """
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def work(task: dict[str, Any]) -> int:
    """Fit the fold of a task; gives the exit code.

    Args:
        task: `data`, `run`, `settings` and `parent`.
    """
    threading.Thread(target=watch, args=(task["parent"],), daemon=True).start()
    name = task["run"].rpartition("/")[2]

    def tell(line: str) -> None:
        sys.stderr.write(f"{name}: {line}\n")

    warnings.simplefilter("ignore")  # said by the process that asks
    try:
        fit(task["data"], task["run"], tell=tell, **task["settings"])
    except Stopped as stop:
        return 128 + stop.number
    except (BratsError, ValueError) as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(work(json.load(sys.stdin)))
