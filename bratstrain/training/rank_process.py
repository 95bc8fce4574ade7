"""One rank of `fit --gpus`: `python -m bratstrain.training.rank_process`.

Standard input is one JSON object, see `bratstrain.training.launch`. What the rank has to say goes
to its parent as lines of JSON, each of one entry: `tell` or `warn` with a line, and at last `done`,
`stopped`, `failed` or `lost`.
"""

import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from bratsprep.errors import BratsError
from bratstrain.config import TrainConfig
from bratstrain.ranks.place import Place
from bratstrain.ranks.process_group import LostRankError
from bratstrain.training.children import leave, task_of_parent
from bratstrain.training.fit import fit_at
from bratstrain.training.signals import Stopped

Say = Callable[..., None]


def work(task: dict[str, Any], say: Say) -> int:
    """Fit a run as the rank of a task, and tell how it has ended; gives the exit code.

    Args:
        task: `place`, `data`, `run` and `call`, the keywords of `fit_at`.
        say: tells the parent.
    """
    place = Place(**task["place"])
    warnings.showwarning = lambda message, *_, **__: say(warn=str(message))
    if place.rank:  # all of them have the same reasons to warn
        warnings.simplefilter("ignore")
    try:
        return fitted(place, task, say)
    except LostRankError as error:
        say(lost=str(error))
    except (BratsError, ValueError) as error:
        kind = "BratsError" if isinstance(error, BratsError) else "ValueError"
        say(failed=[kind, str(error), getattr(error, "__notes__", [])])
    except BaseException:
        traceback.print_exc()
    return 1


def fitted(place: Place, task: dict[str, Any], say: Say) -> int:
    """Fit a run as one rank; gives the exit code.

    Arguments are those of `work`; errors are those of `fit`.
    """
    call = task["call"]
    config = None if call["config"] is None else TrainConfig.from_json(call["config"])
    try:
        run = fit_at(
            place,
            task["data"],
            task["run"],
            tell=lambda line: say(tell=line),
            **call | {"config": config},
        )
    except Stopped as stop:
        say(stopped=[str(stop.where), stop.step, stop.number])
        return 128 + stop.number
    except KeyboardInterrupt:  # before there was anything to save
        return 128 + signal.SIGINT
    say(done=run.to_plain())
    return 0


def main() -> NoReturn:
    """Do the task of the parent."""
    task = task_of_parent()
    with os.fdopen(task["answers"], "w", encoding="utf-8") as answers:

        def say(**entry: Any) -> None:  # noqa: ANN401  JSON
            answers.write(f"{json.dumps(entry)}\n")
            answers.flush()

        code = work(task, say)
    leave(code)


if __name__ == "__main__":
    main()
