"""Questions to a Python process of their own: what it loads or breaks stays there."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 120
"""Time for one answer; torch from a cold network disk takes half a minute."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process said."""

    text: str | None
    """Its last line; None where it failed."""
    fault: str
    """Why it failed; empty where it did not."""


def ask(code: str, *arguments: str, seconds: float = SECONDS) -> Answer:
    """Run Python code in a process of this interpreter.

    Args:
        code: prints its answer as its last line.
        arguments: for `sys.argv`.
        seconds: time until it is given up.
    """
    try:
        done = subprocess.run(  # noqa: S603  our own code and interpreter
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, f"no answer within {seconds:g} s")
    except OSError as error:
        return Answer(None, f"Python cannot be started: {error}")
    if done.returncode or not done.stdout.strip():
        lines = done.stderr.strip().splitlines()
        return Answer(None, lines[-1] if lines else f"it ended with code {done.returncode}")
    return Answer(done.stdout.strip().splitlines()[-1], "")
