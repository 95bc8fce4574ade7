import subprocess
import sys

import numpy as np

from bratsprep.system import memory
from bratsprep.system.memory import peak_bytes


def printed(code):
    """Whole numbers that a fresh process prints."""
    code = "import numpy as np; from bratsprep.system.memory import peak_bytes; " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return [int(number) for number in done.stdout.split()]


def test_peak_grows_by_what_is_taken_and_stays():
    before, after = printed("print(peak_bytes()); np.ones(90 << 20, np.uint8); print(peak_bytes())")
    assert 80 << 20 < after - before < 100 << 20


def test_a_child_does_not_inherit_the_peak_of_its_parent():
    np.ones(400 << 20, np.uint8)
    assert printed("print(peak_bytes())")[0] < 200 << 20 < peak_bytes()


def test_without_the_status_of_linux_getrusage_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "nothing")
    assert peak_bytes() > 1 << 20
    (tmp_path / "nothing").write_text("Name: x")
    assert peak_bytes() > 1 << 20
