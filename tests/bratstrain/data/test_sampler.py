import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.errors import BratsError
from bratstrain.config import TrainConfig
from bratstrain.data import sampler
from bratstrain.data.sampler import RowStream, epoch_order, make_plan
from tests.helpers.choices import words


def plan(n_rows, batch_size, sampling="uniform", *, voxels=None, block=1, seed=0):
    """A plan over rows 0, 10, 20 ...; half of them hold oedema unless voxels say else."""
    rows = np.arange(n_rows) * 10
    if voxels is None:
        voxels = np.zeros((n_rows, 4), int)
        voxels[::2, 2] = 5
    return make_plan(rows, np.asarray(voxels), batch_size, sampling, block, seed)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_order_visits_every_slice_once(n_slices, block, seed, epoch):
    order = epoch_order(n_slices, block, seed, epoch)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_slices))


@given(st.integers(1, 40), st.integers(2, 9))
def test_order_keeps_blocks_together(n_slices, block):
    visited = epoch_order(n_slices, block, 0, 0) // block
    changes = np.count_nonzero(np.diff(visited))
    assert changes == len(np.unique(visited)) - 1


def test_order_is_the_same_for_the_same_seed_and_epoch():
    np.testing.assert_array_equal(epoch_order(50, 1, 3, 7), epoch_order(50, 1, 3, 7))


@pytest.mark.parametrize("other", [(4, 7), (3, 8)], ids=["seed", "epoch"])
def test_order_is_another_for_another(other):
    assert not np.array_equal(epoch_order(50, 1, 3, 7), epoch_order(50, 1, *other))


@pytest.mark.parametrize(("n_slices", "block"), [(0, 1), (1, 0)])
def test_order_refuses(n_slices, block):
    with pytest.raises(ValueError, match="must be at least 1"):
        epoch_order(n_slices, block, 0, 0)


def test_order_cannot_be_spoilt_by_who_gets_it():
    with pytest.raises(ValueError, match="read-only"):
        epoch_order(5, 1, 0, 0)[0] = 3


@given(st.integers(1, 12), st.integers(0, 30), st.integers(0, 30))
def test_stream_is_the_same_in_one_piece_and_in_two(size, first, second):
    stream = RowStream(np.arange(size), 1, (5,))
    together = stream.take(0, first + second)
    halves = np.concatenate([stream.take(0, first), stream.take(first, first + second)])
    np.testing.assert_array_equal(together, halves)


@given(st.integers(1, 20), st.integers(1, 8))
def test_uniform_visits_every_row_once_an_epoch(n_rows, batch_size):
    drawn = plan(n_rows, batch_size)
    stream = np.concatenate([drawn.rows(step) for step in range(3 * n_rows)])
    for epoch in range(3):
        once = np.sort(stream[epoch * n_rows : (epoch + 1) * n_rows])
        np.testing.assert_array_equal(once, np.arange(n_rows) * 10)


@pytest.mark.parametrize("sampling", ["uniform", "foreground", "balanced"])
@given(n_rows=st.integers(1, 9), batch_size=st.integers(1, 20), step=st.integers(0, 1000))
def test_every_batch_is_full(sampling, n_rows, batch_size, step):
    drawn = plan(n_rows, batch_size, sampling).rows(step)
    assert drawn.shape == (batch_size,)
    assert drawn.dtype == np.int64


@pytest.mark.parametrize("sampling", ["uniform", "foreground", "balanced"])
def test_rows_do_not_depend_on_what_was_asked_before(sampling):
    used = plan(30, 7, sampling, seed=2)
    for step in range(40):
        used.rows(step)
    np.testing.assert_array_equal(used.rows(11), plan(30, 7, sampling, seed=2).rows(11))


@pytest.mark.parametrize("sampling", ["uniform", "foreground", "balanced"])
def test_rows_are_of_the_allowed_ones(sampling):
    drawn = plan(6, 5, sampling)
    found = {row for step in range(20) for row in drawn.rows(step).tolist()}
    assert found == {0, 10, 20, 30, 40, 50}


@given(batch_size=st.integers(3, 20), step=st.integers(0, 100))
def test_foreground_holds_tumour_in_a_third(batch_size, step):
    voxels = np.zeros((40, 4), int)
    voxels[7, 1] = voxels[9, 3] = 1
    drawn = plan(40, batch_size, "foreground", voxels=voxels).rows(step)
    assert np.isin(drawn, [70, 90]).sum() >= batch_size / 3


def test_foreground_of_single_slices_draws_slices_without_tumour():
    voxels = np.zeros((40, 4), int)
    voxels[:4, 2] = 1
    drawn = plan(40, 1, "foreground", voxels=voxels)
    rows = np.concatenate([drawn.rows(step) for step in range(180)]) // 10
    # A third is drawn from the 4 with tumour, and 12 of the other 120 are those 4 again.
    assert np.count_nonzero(rows < 4) == 60 + 12


def test_foreground_of_pairs_takes_a_third_from_the_tumour_slices():
    voxels = np.zeros((40, 4), int)
    voxels[:4, 2] = 1
    drawn = plan(40, 2, "foreground", voxels=voxels)
    rows = np.concatenate([drawn.rows(step) for step in range(90)]) // 10
    assert np.count_nonzero(rows < 4) == 60 + 12


def test_samplings_are_those_that_the_settings_know():
    assert tuple(sampler.SAMPLINGS) == words(TrainConfig, "sampling")


def test_sampling_can_be_added(monkeypatch):
    def first_rows(candidates, batch_size):
        return lambda step: candidates.rows[:batch_size]

    monkeypatch.setattr(sampler, "SAMPLINGS", {"first": first_rows})
    np.testing.assert_array_equal(plan(5, 2, "first").rows(9), [0, 10])


def test_foreground_uses_every_tumour_slice():
    voxels = np.zeros((20, 4), int)
    voxels[:6, 2] = 1
    drawn = plan(20, 3, "foreground", voxels=voxels)
    first_places = [drawn.rows(step)[0] for step in range(6)]
    assert sorted(first_places) == [0, 10, 20, 30, 40, 50]


def test_balanced_draws_each_class_equally_often():
    voxels = np.zeros((12, 4), int)
    voxels[0, 1] = 1
    voxels[1:3, 2] = 1
    voxels[3, 3] = 1
    drawn = plan(12, 5, "balanced", voxels=voxels)
    rows = np.concatenate([drawn.rows(step) for step in range(8)]) // 10
    kinds = np.select([rows == 0, rows < 3, rows == 3], [1, 2, 3], 0)
    np.testing.assert_array_equal(np.bincount(kinds), [10, 10, 10, 10])


def test_balanced_leaves_out_a_class_that_is_nowhere():
    voxels = np.zeros((4, 4), int)
    voxels[:2, 3] = 1
    drawn = plan(4, 4, "balanced", voxels=voxels).rows(0)
    assert np.isin(drawn, [0, 10]).sum() == 2


@pytest.mark.parametrize("sampling", ["foreground", "balanced"])
def test_sampling_by_tumour_needs_tumour(sampling):
    with pytest.raises(BratsError, match="none of the 3 slices holds tumour; sampling"):
        plan(3, 2, sampling, voxels=np.zeros((3, 4), int))


def test_plan_without_rows_is_refused():
    with pytest.raises(BratsError, match="training: no slice is left"):
        plan(0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampling": "random"}, "sampling must be one of uniform, foreground, balanced"),
        ({"batch_size": 0}, "batch_size and block must be at least 1"),
        ({"voxels": np.zeros((2, 4), int)}, "3 rows but voxels of 2"),
    ],
)
def test_plan_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(3, **{"batch_size": 2, **arguments})


def test_epoch_counts_steps():
    drawn = plan(10, 4)
    assert [drawn.epoch(step) for step in (0, 2, 3, 6)] == [0, 0, 1, 2]


def global_state():
    """State of NumPy's global generator, which only the old interface has."""
    return np.random.get_state()[1].tolist()  # noqa: NPY002


def test_global_random_state_is_left_alone():
    before = global_state()
    plan(10, 4, "balanced").rows(3)
    assert global_state() == before
