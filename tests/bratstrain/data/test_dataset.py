import multiprocessing

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bratsprep.slicefile.reader import open_file
from bratstrain.data.dataset import SliceDataset
from tests.helpers import slicefiles

METHODS = [
    pytest.param(method, marks=pytest.mark.slow)
    for method in ("fork", "spawn", "forkserver")
    if method in multiprocessing.get_all_start_methods()
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "slices.h5"
    slicefiles.write(path)
    return path


@pytest.fixture
def file(path):
    with open_file(path) as opened:
        yield opened


def test_dataset_gives_the_slices_of_its_rows(path, file):
    dataset = SliceDataset(file, np.array([4, 1]))
    image, label = dataset[1]
    with h5py.File(path) as plain:
        np.testing.assert_array_equal(image, plain["slice/image"][1].astype(np.float32))
        np.testing.assert_array_equal(label, plain["slice/label"][1])
    assert (image.dtype, label.dtype, len(dataset)) == (torch.float32, torch.int64, 2)


def test_dataset_takes_all_slices_unless_told(file):
    assert len(SliceDataset(file)) == 7


def test_dataset_of_no_slices_is_empty(file):
    assert len(SliceDataset(file, np.empty(0, np.int64))) == 0


def test_dataset_refuses_a_row_beyond_the_file(file):
    with pytest.raises(ValueError, match="rows must be 0 to 6"):
        SliceDataset(file, np.array([7]))


def test_dataset_ends_like_a_sequence(file):
    with pytest.raises(IndexError):
        SliceDataset(file)[7]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_read_what_the_file_holds(path, file, method):
    batches = DataLoader(
        SliceDataset(file), batch_size=3, num_workers=2, multiprocessing_context=method
    )
    images = torch.cat([image for image, _ in batches])
    with h5py.File(path) as plain:
        np.testing.assert_array_equal(images, plain["slice/image"][:].astype(np.float32))
