"""Programs that are forks do what a Python of their own would do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.programs import fork_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are the real ones")
TOLD = """
import os, sys
print(sys.argv[1:], os.environ["COLOUR"], os.getcwd(), sys.stdin.read(), os.isatty(1))
print("aside", file=sys.stderr)
"""
WAIT = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if begun in the background
print(1, flush=True)
time.sleep(60)
"""


def run(programs, name, *words, **more):
    return subprocess.run(
        [programs / name, *words], capture_output=True, text=True, check=False, **more
    )


@pytest.fixture(params=["fork", "real"])
def python(request):
    """A Python that is a fork, and the interpreter itself."""
    if request.param == "real":
        return Path(sys.executable)
    return request.getfixturevalue("programs") / "python"


def test_words_folder_environment_and_files_are_those_of_the_caller(python, tmp_path):
    done = run(python.parent, python.name, "-c", TOLD, "a b", "-W", cwd=tmp_path, input="said",
               env={"COLOUR": "red", "PYTHONPATH": ""})  # fmt: skip
    assert done.stdout == f"['a b', '-W'] red {tmp_path} said False\n"
    assert done.stderr == "aside\n"


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("pass", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit()", 0),
        ("import sys; sys.exit('bad')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_end_is_that_of_the_interpreter(python, code, ends):
    done = run(python.parent, python.name, "-c", code)
    assert done.returncode == ends
    assert ("ZeroDivisionError" in done.stderr) is (code == "1 / 0")
    assert ("bad" in done.stderr) is ("bad" in code)


def test_warnings_are_errors_on_request(python):
    code = "import warnings; warnings.warn('x')"
    assert run(python.parent, python.name, "-W", "error", "-c", code).returncode == 1
    assert run(python.parent, python.name, "-W", "ignore", "-c", code).stderr == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on(python, number):
    with subprocess.Popen(
        [python, "-c", WAIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == -number


def test_a_fork_ends_with_the_program_that_stands_for_it(programs):
    with subprocess.Popen([programs / "python", "-c", WAIT], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        fork = Path(f"/proc/{fork_of(programs, process.pid)}")
        assert fork.exists()
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
        deadline = time.monotonic() + 10
        while fork.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_fork_knows_who_asked_for_it(python):
    done = run(python.parent, python.name, "-c", "import os; print(os.getppid())")
    assert int(done.stdout) == os.getpid()


def test_commands_are_there_by_name(programs):
    for name in ("bratsprep", "bratstrain"):
        assert run(programs, name, "--version").stdout.startswith(f"{name}, version ")
