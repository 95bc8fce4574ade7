"""Compile the kernels that tests need, before as many processes as there are cores do it at once.

python -m tests.helpers.kernels
"""

from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import bratstrain
from bratsprep.volumes.warm import warm


def main():
    """Run the quick demo, and compile for every type of voxels."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        bratstrain.demo(Path(folder, "demo"), quick=True, tell=str)
    for n_modalities, dtype in product((1, 4), (np.int16, np.float32, np.float64)):
        warm(n_modalities, dtype)


if __name__ == "__main__":
    main()
