"""Processes to be killed or stopped, without the seconds in which each would import torch.

A server imports what they need, once for a session of tests; each process is a fork of it, and as
much one of its own as a process that a command starts.
"""

import contextlib
import multiprocessing
from pathlib import Path

import torch

import bratsprep
import bratstrain
from bratstrain.commands import cli
from bratstrain.commands.ahead import WARM

ROOT = Path(__file__).parent.parent.parent
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.helpers.preload"])


def begin(target, *arguments):
    """Start a process, and return once its target has said that it begins."""
    hears, says = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=target, args=(says, *arguments), daemon=True)
    with contextlib.chdir(ROOT), hears:  # the server imports from the folder that it is started in
        process.start()
        says.close()
        assert hears.recv() == "begins"
    return process


def end(process):
    """Wait for a process; gives its exit code, or the signal that killed it as a negative one."""
    process.join()
    code = process.exitcode
    process.close()
    return code


def kill(process):
    """Kill a process at once; gives its exit code."""
    process.kill()
    return end(process)


def saying(says):
    """Function of any line that says once that the process begins."""

    def tell(line=""):
        if not says.closed:
            says.send("begins")
            says.close()

    return tell


def fitting(says, data, run, settings):
    """Fit a run by one thread."""
    torch.set_num_threads(1)
    bratstrain.fit(data, run, tell=saying(says), **settings)


def building(says, raw, out, settings):
    """Build a slice file; begins when the kernels are there."""
    WARM["build"]()
    saying(says)()
    bratsprep.build(raw, out, **settings)


def commanding(says, words):
    """Run a command of bratstrain by one thread."""
    torch.set_num_threads(1)
    saying(says)()
    cli.main(words)
