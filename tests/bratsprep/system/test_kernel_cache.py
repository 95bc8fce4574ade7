"""Where compiled kernels go when neither the package nor the user's cache can be written."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bratsprep.diagnosis.programs import check_kernels
from bratsprep.system import kernel_cache

PROGRAM = """
import os
os.access = lambda path, mode: False
import numpy, bratsprep
from bratsprep.slicefile.to_float32 import copy_
copy_(numpy.ones(3, numpy.uint8), numpy.zeros(3, numpy.uint8))
print(os.environ["NUMBA_CACHE_DIR"], len(list(os.scandir(os.environ["NUMBA_CACHE_DIR"]))))
"""


@pytest.fixture
def handlers(monkeypatch, tmp_path):
    """Exit handlers, kept from the end of the tests; nothing can be written, nothing is given."""
    kept = []
    monkeypatch.delenv(kernel_cache.VARIABLE, raising=False)
    monkeypatch.setattr(kernel_cache.atexit, "register", lambda *call: kept.append(call))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of mine"))
    monkeypatch.setattr(kernel_cache.sys, "platform", "linux")
    monkeypatch.setattr(kernel_cache.os, "access", lambda *_: False)
    yield kept
    os.environ.pop(kernel_cache.VARIABLE, None)  # what `settle` has set


def test_folder_that_is_given_is_used(handlers, monkeypatch):
    monkeypatch.setenv(kernel_cache.VARIABLE, "/somewhere")
    assert kernel_cache.is_kept()
    kernel_cache.settle()
    assert os.environ[kernel_cache.VARIABLE] == "/somewhere"
    assert handlers == []


@pytest.mark.parametrize("part", ["bratsprep", "cache of mine"])
def test_one_folder_that_can_be_written_will_do(handlers, monkeypatch, part):
    monkeypatch.setattr(kernel_cache.os, "access", lambda path, _: part in str(path))
    kernel_cache.settle()
    assert kernel_cache.VARIABLE not in os.environ
    assert check_kernels()[0].state == "ok"


def test_folder_that_cannot_be_made_will_not_do_whatever_the_permissions(
    handlers, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(kernel_cache.os, "access", lambda path, _: "numba" in str(path))
    assert not kernel_cache.is_kept()


def test_a_process_names_a_folder_of_its_own(handlers, monkeypatch):
    numba = SimpleNamespace(config=SimpleNamespace(CACHE_DIR=""))
    monkeypatch.setitem(sys.modules, "numba", numba)
    assert not kernel_cache.is_temporary()
    kernel_cache.settle()
    ((forget, folder, process),) = handlers
    assert os.environ[kernel_cache.VARIABLE] == numba.config.CACHE_DIR == str(folder)
    assert (forget, process) == (kernel_cache.forget, os.getpid())
    assert not folder.exists()
    found, facts = check_kernels()
    assert (found.state, facts) == ("note", {"kept": False})
    assert kernel_cache.VARIABLE in found.advice


def test_where_nothing_can_be_written_numba_speaks(handlers, monkeypatch):
    def nowhere():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(
        kernel_cache, "import_module", lambda _: SimpleNamespace(gettempdir=nowhere)
    )
    kernel_cache.settle()
    assert handlers == []
    assert kernel_cache.VARIABLE not in os.environ


def test_folder_ends_with_the_process_that_named_it(tmp_path, capsys):
    folder = tmp_path / "kernels"
    kernel_cache.forget(folder, os.getpid())  # nothing was compiled
    folder.mkdir()
    kernel_cache.forget(folder, os.getpid() + 1)
    assert folder.is_dir()
    assert capsys.readouterr().err == ""
    kernel_cache.forget(folder, os.getpid())
    assert not folder.exists()
    assert "set NUMBA_CACHE_DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_kernels_are_compiled_where_nothing_can_be_kept(tmp_path):
    settings = {"TMPDIR": str(tmp_path), "HOME": "/proc/none"}
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=kept | settings, capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    folder, n_modules = done.stdout.split()
    assert Path(folder).parent == tmp_path
    assert int(n_modules) >= 1
    assert not Path(folder).exists()
    assert done.stderr.count("note: compiled kernels cannot be kept") == 1
