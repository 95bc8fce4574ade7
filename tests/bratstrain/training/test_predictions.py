"""Slices and cases that several ranks label are those that one labels."""

import numpy as np
import pytest
import torch

from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.neighbours import Samples, neighbours_of
from bratstrain.ranks.group import Group
from bratstrain.training.predictions import Cases, Segment, by_cases, by_slices
from tests.helpers import fitfiles

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = fitfiles.phantom_file(tmp_path_factory.mktemp("data"), slices="brain")
    with SliceFile(path) as opened:
        yield opened


def modalities(image):
    """A network that takes the brightest modality for the class."""
    return image if image.dim() == 4 or image.shape[2] > 3 else image[:, :, 1]


BRIGHTEST = Segment(modalities)


def labelled(parts):
    """Rows, truth and predictions of all parts, by row."""
    each = ((part.rows, part.truth, part.predicted) for part in parts)
    rows, truth, found = (np.concatenate(column) for column in zip(*each, strict=True))
    order = np.argsort(rows)
    return rows[order], truth[order], found[order]


def whole_and_shares(label, size):
    """What one process labels, and what several do together; `label` is given a group."""
    whole = [*label(Group())]
    return whole, [part for rank in range(size) for part in label(Group(rank, size))]


@pytest.mark.parametrize("size", [2, 3, 50])
@pytest.mark.parametrize("context", [1, 3])
def test_every_slice_is_labelled_by_one_rank(file, size, context):
    rows = np.flatnonzero(file.slices["case"] > 1)
    around = neighbours_of(file, context) if context > 1 else None
    whole, shares = whole_and_shares(
        lambda group: by_slices(BRIGHTEST, file, Samples(rows, around, group), CPU, 4), size
    )
    assert len(shares) == len(whole)
    for one, several in zip(labelled(whole), labelled(shares), strict=True):
        assert np.array_equal(one, several)


@pytest.mark.parametrize("size", [2, 9])
def test_every_case_is_labelled_by_one_rank(file, size):
    rows = np.arange(len(file))
    whole, shares = whole_and_shares(
        lambda group: by_cases(BRIGHTEST, file, Cases(rows, (8, 16, 16), group), CPU, 2), size
    )
    assert len(shares) == len(whole) == len(file.cases)
    for one, several in zip(labelled(whole), labelled(shares), strict=True):
        assert np.array_equal(one, several)
