"""Samples of several planes: moved alike, changed alike, each with a background of its own."""

import pytest
import torch

from bratstrain.config import AUGMENTS
from bratstrain.data.augment import augment, drop_modalities
from bratstrain.data.intensities import blur, by_plane, coarsen
from tests.bratstrain.data.test_augment import batch

STEPS = range(8)
active = pytest.mark.parametrize("kind", AUGMENTS[1:])


def stacks(n=6, k=3):
    """Samples whose planes are all alike, and the label of the middle one."""
    image, label = batch(n)
    return image[:, :, None].repeat(1, 1, k, 1, 1), label


@pytest.mark.parametrize("kind", AUGMENTS)
@pytest.mark.parametrize("step", STEPS)
def test_stack_of_one_plane_is_changed_as_a_plane_is(kind, step):
    image, label = batch()
    alone, truth = augment(image, label, (1, 3), kind=kind, seed=5, step=step)
    stacked, same = augment(image[:, :, None], label, (1, 3), kind=kind, seed=5, step=step)
    assert torch.equal(stacked[:, :, 0], alone)
    assert torch.equal(same, truth)


@pytest.mark.parametrize("step", STEPS)
def test_planes_of_a_sample_are_moved_alike(step):
    image, _ = augment(*stacks(), kind="rotation", seed=1, step=step)
    assert torch.equal(image[:, :, 0], image[:, :, 1])
    assert torch.equal(image[:, :, 2], image[:, :, 1])


@active
@pytest.mark.parametrize("step", STEPS)
def test_label_is_moved_with_the_middle_plane(kind, step):
    image, label = stacks()
    marked = (image != 0).any(dim=1)[:, 1] & (label > 0)
    image[:, :, 1][marked[:, None].expand_as(image[:, :, 1])] = 100.0
    moved, truth = augment(image, label, kind=kind, seed=2, step=step)
    brain = (moved[:, :, 1] != 0).any(dim=1)
    assert bool(brain[truth > 0].all())


@active
@pytest.mark.parametrize("step", STEPS)
def test_background_of_each_plane_stays_empty(kind, step):
    image, label = stacks()
    image[:, :, 0] = 0  # a plane above the brain
    out, _ = augment(image, label, kind=kind, seed=3, step=step)
    assert bool((out[:, :, 0] == 0).all())
    assert bool((out[:, :, 1] != 0).any())


def test_intensities_of_a_modality_are_scaled_alike_in_all_planes():
    image, label = stacks()
    for step in STEPS:
        out, _ = augment(image, label, kind="modern", seed=4, step=step)
        if torch.equal(out[:, :, 0], out[:, :, 1]):  # no noise in this step, which is its own
            return
        same = out[:, :, 0] == out[:, :, 1]
        assert float(same.float().mean()) > 0.5
    pytest.fail("every step had noise")


def test_modality_is_left_out_of_all_planes():
    image, _ = stacks()
    out = drop_modalities(image, 0.5, seed=0, step=1)
    plane = drop_modalities(image[:, :, 1], 0.5, seed=0, step=1)
    assert torch.equal(out[:, :, 1], plane)
    empty = (out == 0).flatten(3).all(dim=3)
    assert torch.equal(empty[:, :, 0], empty[:, :, 2])
    assert bool(empty.any())


@pytest.mark.parametrize("change", [blur, coarsen])
def test_changes_by_plane_are_those_of_each_plane(change):
    image = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    value = torch.tensor([0.6, 0.9])
    out = by_plane(change)(image, value[:, None, None, None])
    for plane in range(3):
        assert torch.equal(out[:, plane], change(image[:, plane], value[:, None, None]))
