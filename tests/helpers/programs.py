"""Python and our commands as forks of one process, instead of each importing torch for seconds.

A folder holds programs with the names `python`, `bratsprep` and `bratstrain`. Each sends its words,
folder, environment and open files to a server, and ends as the fork that the server makes for them
does. A fork is told of signals, and is killed with the program that stands for it. What is tested
of a start itself, its memory or its import of modules takes the real programs.
"""

import atexit
import contextlib
import fcntl
import json
import multiprocessing.util
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import traceback
import types
import warnings
from pathlib import Path

from tests.helpers import forks

PROGRAM = """#!/bin/sh
'''exec' "{python}" -IS "$0" "$@"
' '''
import json, os, signal, socket, struct, sys

link = socket.socket(socket.AF_UNIX)
link.connect({server!r})
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: link.sendall(bytes([number])))
opened = []
for number in map(int, os.listdir("/proc/self/fd")):
    try:
        os.fstat(number)
    except OSError:
        continue
    if number != link.fileno():
        opened.append(number)
task = {{"words": [{name!r}, *sys.argv[1:]], "folder": os.getcwd(), "files": opened,
        "environment": dict(os.environ), "process": os.getpid()}}
socket.send_fds(link, [b"."], opened)
link.sendall(json.dumps(task).encode() + b"\\n")
for number in opened:
    os.close(number)
code = struct.unpack("i", link.recv(4))[0]
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""Begun by the shell: a kernel takes no interpreter whose path is long or has a space."""
NAMES = ("python", "bratsprep", "bratstrain")
LOOK_S = 1.0
"""Between two looks at whether those who asked for a server are still there."""


def real_programs():
    """Folder of the programs that are installed."""
    return Path(sys.executable).parent


@contextlib.contextmanager
def forking(folder):
    """Folder of programs that are forks; of the real ones where the system is not Linux."""
    if sys.platform != "linux":
        yield real_programs()
        return
    server = f"\0bratsprep tests {os.getpid()}"  # a name without a file, which may have a long path
    for name in NAMES:
        text = PROGRAM.format(python=sys.executable, server=server, name=name)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    process = forks.begin(serving, server, str(folder))
    try:
        yield folder
    finally:
        forks.kill(process)


def serving(says, name, folder):
    """Take tasks until nobody is there to send any."""
    asked = os.getppid()
    sys.executable = str(Path(folder) / "python")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who ends needs nobody to wait for it
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen(64)
        server.settimeout(LOOK_S)
        forks.saying(says)()
        while os.getppid() == asked:
            with contextlib.suppress(TimeoutError):
                link, _ = server.accept()
                if os.fork() == 0:
                    server.close()
                    mind(link, Path(folder))
                link.close()


def fork_of(programs, process):
    """Number of the fork that a process of a program stands for."""
    return int((programs / str(process)).read_text())


def mind(link, folder):
    """Let a task be done by a fork, pass on what it is sent, and say how it ended."""
    link.setblocking(True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(link, 1, 250)
    with link.makefile("rb") as lines:
        task = json.loads(lines.readline())
    number = os.fork()
    if number == 0:
        link.close()
        become(task, files)
    (folder / str(task["process"])).write_text(str(number))
    for file in files:
        os.close(file)
    ended = os.pidfd_open(number)
    while ended not in (ready := select.select([link, ended], [], [])[0]):
        if link in ready:
            sent = link.recv(16) or [signal.SIGKILL]
            for each in sent:
                os.kill(number, each)
            if sent == [signal.SIGKILL]:
                break
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    with contextlib.suppress(OSError):
        link.sendall(struct.pack("i", code))
    os._exit(0)


def become(task, files):
    """Take over what a task's process was given, do it, and end."""
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, 512) for file in files]
    for file, number in zip(moved, task["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    for file in set(files) - set(task["files"]):
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  open until the process ends
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    for number, action in ((signal.SIGINT, signal.default_int_handler),
                           (signal.SIGTERM, signal.SIG_DFL)):  # fmt: skip
        signal.signal(number, action)
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["environment"])
    os.getppid = lambda: parent_of(task["process"])
    leave(lambda: run(*task["words"]))


def parent_of(process):
    """Number of a process's parent; 1 where the process is gone."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 1


def run(name, *words):
    """Do what a program does with its words."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = ["", *filter(None, paths)]
    if name == "python":
        run_python(*words)
    else:
        sys.argv = [name, *words]
        runpy.run_module(name, run_name="__main__")


def run_python(flag, *words):
    """Do what an interpreter does with a flag and what follows it."""
    if flag == "-u":
        sys.stdout.reconfigure(write_through=True)
        run_python(*words)
    elif flag == "-W":
        warnings.simplefilter(words[0])
        run_python(*words[1:])
    elif flag == "-m":
        sys.argv = list(words)
        sys.modules.pop(words[0], None)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif flag == "-c":
        sys.argv = [flag, *words[1:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(words[0], "<string>", "exec"), main.__dict__)  # noqa: S102  what a test gives
    else:
        raise ValueError(f"python {flag}: expected -m or -c")


def leave(work):
    """Work, and end the process as an interpreter does."""
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)  # noqa: T201  the words of an exit
    except BaseException as error:
        traceback.print_exc()
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()
    atexit._run_exitfuncs()
    multiprocessing.util._exit_function()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code if isinstance(code, int) else int(code is not None))
