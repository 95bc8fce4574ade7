"""Batches of samples that share planes: each plane is read once."""

import numpy as np
import pytest

from bratsprep.errors import SchemaError
from bratsprep.slicefile.backends import BACKENDS
from bratsprep.slicefile.reader import open_file
from bratstrain.data.loader import Loader
from bratstrain.data.neighbours import neighbours_of
from bratstrain.data.sampler import make_plan
from tests.helpers import slicefiles


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    out = tmp_path_factory.mktemp("stacks") / "small.h5"
    slicefiles.write(out, [(name, name, list(range(7))) for name in "ABC"])
    return out


def plan(file, context=3, batch_size=5, **kind):
    rows = np.arange(len(file))
    around = neighbours_of(file, context)
    return make_plan(rows, file.slices["voxels"], batch_size, neighbours=around, **kind)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 3])
def test_samples_are_the_planes_around_each_slice(path, backend, threads):
    with open_file(path, backend) as file:
        image, label = file.read(np.arange(len(file)))
        around = neighbours_of(file, 3)
        with Loader(file, plan(file), first=2, last=12, threads=threads) as loader:
            for batch in loader:
                rows = plan(file).rows(batch.step)
                stacked, truth = batch.reading.gather(batch.image, batch.label)
                wanted = image[around.places[rows]].swapaxes(1, 2)
                np.testing.assert_array_equal(stacked, wanted)
                np.testing.assert_array_equal(truth, label[rows])


def test_planes_are_read_once(path):
    with open_file(path) as file, Loader(file, plan(file), first=0, last=9) as loader:
        for batch in loader:
            assert len(np.unique(batch.rows)) == len(batch.rows) == len(batch.image)


def test_runs_read_half_as_many_planes_more_as_samples(path):
    with open_file(path) as file:
        dealt = plan(file, batch_size=4, block=4)
        read = [len(dealt.reading(step).rows) for step in range(5)]
    assert max(read) <= 8  # a run that crosses two cases reads two planes more
    assert np.mean(read) <= 7


def test_slot_has_room_for_samples_that_share_nothing(path):
    with open_file(path) as file:
        assert plan(file, context=5, batch_size=3).most_rows == 15


def test_damage_is_named_by_the_plane_that_has_it(path, tmp_path):
    broken = tmp_path / "broken.h5"
    broken.write_bytes(path.read_bytes())
    with open_file(broken) as file:
        offset = int(file._storage.chunks[9, 0])
    with broken.open("r+b") as out:
        out.seek(offset)
        out.write(b"\xff" * 8)
    with (
        open_file(broken) as file,
        Loader(file, plan(file), first=0, last=9) as loader,
        pytest.raises(SchemaError, match=r"slice 9 \(case B, plane 2\)"),
    ):
        list(loader)
