"""Patches: where they lie, and that they hold the voxels of the volume that they lie in."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import open_file
from bratstrain.data.loader import Loader
from bratstrain.data.patch_plan import Stack, check_whole, make_patch_plan
from bratstrain.data.patches import ANYWHERE, Aim, PatchReading, overlap, runs
from tests.helpers import slicefiles

SIDES = (3, 4, 3)


@pytest.fixture
def file(tmp_path):
    slicefiles.write(tmp_path / "small.h5", [(name, name, list(range(1, 7))) for name in "ABC"])
    with open_file(tmp_path / "small.h5") as opened:
        yield opened


def plan(file, sampling="foreground", sides=SIDES, batch_size=2, seed=0):
    return make_patch_plan(file, np.arange(len(file)), sides, batch_size, sampling, seed)


def cut(file, plan, step):
    """Patches and labels of a step, and the reading that they were cut by."""
    reading = plan.reading(step)
    image, label = file.read(reading.rows)
    settled = reading.settled(label)
    return *settled.gather(torch.from_numpy(image), torch.from_numpy(label)), settled


def test_patches_are_those_voxels_of_the_volume(file):
    for step in range(6):
        image, label, reading = cut(file, plan(file), step)
        assert image.shape == (2, 4, *SIDES)
        assert label.shape == (2, *SIDES)
        for i, (aim, (y, x)) in enumerate(zip(reading.aims, reading.corners, strict=True)):
            whole, truth = file.read(aim.rows)
            window = (..., slice(y, y + SIDES[1]), slice(x, x + SIDES[2]))
            np.testing.assert_array_equal(image[i], whole[window].swapaxes(0, 1))
            np.testing.assert_array_equal(label[i], truth[window])


def test_planes_that_patches_share_are_read_once(file):
    reading = plan(file, batch_size=9).reading(0)
    assert len(np.unique(reading.rows)) == len(reading.rows) <= plan(file, batch_size=9).most_rows


def test_patches_follow_from_seed_and_step(file):
    one, two, other = (
        [cut(file, plan(file, seed=seed), step)[0] for step in range(4)] for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_case_comes_once_before_one_comes_again(file):
    dealt = plan(file, batch_size=3)
    for step in range(4):
        cases = [file.slices["case"][aim.rows.max()] for aim in dealt.reading(step).aims]
        assert sorted(cases) == [0, 1, 2]


@pytest.mark.parametrize(
    ("sampling", "n_aimed"), [("uniform", 0), ("foreground", 4), ("balanced", 12)]
)
def test_share_of_the_patches_is_around_a_voxel_of_a_class(file, sampling, n_aimed):
    found = 0
    for step in range(6):
        _, label, reading = cut(file, plan(file, sampling), step)
        for i, aim in enumerate(reading.aims):
            found += aim.label != ANYWHERE
            assert aim.label == ANYWHERE or bool((label[i] == aim.label).any())
    assert found == n_aimed


def test_every_class_of_a_case_is_aimed_at(file):
    aims = [aim for step in range(20) for aim in plan(file, "balanced").reading(step).aims]
    assert {aim.label for aim in aims} == {1, 2, 3}


def test_voxel_of_the_class_is_in_the_middle_where_there_is_room():
    label = np.zeros((9, 9), np.uint8)
    label[4, 5] = 2
    aim = Aim(np.arange(3), 2, 1, (0.5, 0.5))
    assert aim.corner(label, (3, 3)) == (3, 4)


def test_patch_stays_inside_of_the_plane():
    label = np.zeros((9, 9), np.uint8)
    label[0, 8] = 1
    assert Aim(np.arange(3), 1, 1, (0.0, 0.0)).corner(label, (5, 5)) == (0, 4)


def test_plane_lies_in_the_middle_of_a_larger_patch():
    assert Aim(np.arange(3), ANYWHERE, 0, (0.9, 0.9)).corner(
        np.zeros((4, 9), np.uint8), (8, 9)
    ) == (-2, 0)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 12), st.integers(1, 12))
def test_patches_anywhere_stay_inside(draw, have, want):
    row, _ = Aim(np.arange(1), ANYWHERE, 0, (draw, 0.0)).corner(
        np.zeros((have, 1), np.uint8), (want, 1)
    )
    assert min(0, have - want) <= row <= max(0, have - want)


def test_planes_beyond_the_volume_are_empty(file):
    image, label, reading = cut(file, plan(file, sides=(9, 4, 3)), 0)
    missing = torch.from_numpy(reading.places < 0)
    assert missing.sum(dim=1).tolist() == [3, 3]
    assert float(image.transpose(1, 2)[missing].abs().max()) == 0
    assert int(label[missing].max()) == 0


def test_gap_between_planes_stays_empty():
    rows, z = np.arange(3), np.array([2, 3, 5])
    voxels = np.tile([4, 1], (3, 1))
    aim = Stack(rows, z, voxels).aim(4, at_class=False, generator=np.random.default_rng(0))
    assert aim.rows.tolist() == [0, 1, -1, 2]
    image, label = torch.ones(3, 1, 2, 2), torch.ones(3, 2, 2, dtype=torch.uint8)
    reading = PatchReading(rows, aim.rows[None], (aim,), (2, 2)).settled(label.numpy())
    patch, truth = reading.gather(image, label)
    assert patch[0, 0, :, 0, 0].tolist() == [1, 1, 0, 1]
    assert truth[0, :, 0, 0].tolist() == [1, 1, 0, 1]


def test_runs_are_consecutive_planes():
    found = [*runs(np.array([-1, 4, 5, -1, 6]))]
    assert found == [(slice(4, 6), slice(1, 3)), (slice(6, 7), slice(4, 5))]


def test_overlap_is_the_part_inside():
    assert overlap(-2, 5, 9) == (slice(0, 5), slice(2, 7))
    assert overlap(1, 5, 3) == (slice(1, 4), slice(0, 3))


def test_epoch_holds_as_many_voxels_as_the_planes(file):
    dealt = plan(file, sides=(2, 3, 5))  # 18 planes of 6 x 5
    assert dealt.n_rows == 18
    assert dealt.steps_per_epoch == 9
    assert dealt.epoch(9) == 1


def test_loader_gives_the_patches_of_the_plan(file):
    with Loader(file, plan(file), first=1, last=5) as loader:
        for batch in loader:
            image, label = batch.reading.gather(batch.image, batch.label)
            wanted, truth, _ = cut(file, plan(file), batch.step)
            np.testing.assert_array_equal(image, wanted)
            np.testing.assert_array_equal(label, truth)


def test_cases_without_tumour_are_refused_where_it_is_needed(file):
    file.slices["voxels"][:, 1:] = 0
    with pytest.raises(BratsError, match="none of the 3 cases holds tumour; sampling foreground"):
        plan(file)
    assert all(aim.label == ANYWHERE for aim in plan(file, "uniform").reading(0).aims)


def test_file_that_lacks_planes_with_brain_is_refused(file):
    file.planes["brain"][:] = 5  # of seven planes a case, six are stored
    with pytest.raises(BratsError, match=r"lacks 2 of the 14 planes .*--slices brain"):
        check_whole(file, np.arange(12))


def test_file_with_every_plane_of_the_brain_is_taken(file):
    file.planes["brain"][file.planes["z"] > 0] = 5
    check_whole(file, np.arange(len(file)))
