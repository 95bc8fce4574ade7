"""The 3D networks: the same blocks, shapes that follow the voxels, and the 2D ones as a special
case."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from bratstrain.config import MODELS, VOLUME_MODELS, ModelConfig
from bratstrain.networks.blocks import AttentionGate, VolumeInstanceNorm, pad_to_cells
from bratstrain.networks.build import build_model
from bratstrain.networks.levels import halved, levels_of
from bratstrain.networks.losses import build_loss

SMALL = ModelConfig(kind="unet3d", width=2, depth=3, norm="instance", patch="8x16x16")
FLAT = 100.0
"""A thickness that leaves the depth alone at every level."""
kinds = pytest.mark.parametrize("kind", VOLUME_MODELS)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def strides(**sizes):
    return [level.stride for level in levels_of(replace(SMALL, **sizes))]


def kernels(**sizes):
    return [level.kernel for level in levels_of(replace(SMALL, **sizes))]


@kinds
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("sides", [(8, 16, 16), (7, 13, 9), (1, 5, 6)])
def test_logits_have_the_sides_of_the_image(kind, norm, sides):
    network = build_model(replace(SMALL, kind=kind, norm=norm)).eval()
    assert network(noise(2, 4, *sides)).shape == (2, 4, *sides)


@kinds
def test_every_parameter_gets_a_gradient(kind):
    config = replace(SMALL, kind=kind, deep_supervision=True, dropout=0.2)
    network = build_model(config)
    loss = build_loss("dice_ce", 4)(
        network(noise(1, 4, 8, 16, 16)), torch.ones(1, 8, 16, 16).byte()
    )
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


@pytest.mark.parametrize(
    ("kind", "norm", "deep"), [*product(MODELS, ("batch", "instance"), (False, True))]
)
@pytest.mark.parametrize("is_training", [True, False])
def test_network_with_flat_kernels_is_that_of_planes(kind, norm, deep, is_training):
    shared = {"width": 4, "depth": 3, "norm": norm, "deep_supervision": deep}
    plane = build_model(ModelConfig(kind=kind, **shared), seed=2)
    config = ModelConfig(kind=f"{kind}3d", patch="8x32x32", thickness=FLAT, **shared)
    volume = build_model(config, seed=2)
    state = {
        name: value[:, :, 0] if value.dim() == 5 else value
        for name, value in volume.state_dict().items()
    }
    assert list(state) == list(plane.state_dict())
    plane.load_state_dict(state)
    image = noise(3, 4, 11, 14)
    one = plane.train(is_training)(image)
    two = volume.train(is_training)(image[:, :, None])
    if deep and is_training:
        assert [level.shape[2] for level in two] == [1] * len(one)
    else:
        one, two = [one], [two]
    for flat, deep_level in zip(one, two, strict=True):
        torch.testing.assert_close(deep_level[:, :, 0], flat, rtol=1e-4, atol=1e-5)


def test_cubes_are_halved_along_every_axis():
    assert strides(patch="16x16x16") == [(1, 1, 1), (2, 2, 2), (2, 2, 2)]
    assert set(kernels(patch="16x16x16")) == {(3, 3, 3)}


def test_thick_slices_are_first_made_coarser_in_the_plane():
    sizes = {"thickness": 4.0, "patch": "16x64x64", "depth": 4}
    assert strides(**sizes) == [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    assert kernels(**sizes) == [(1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)]


def test_flat_voxels_are_first_made_coarser_along_the_depth():
    sizes = {"thickness": 0.5, "patch": "32x16x16"}
    assert strides(**sizes) == [(1, 1, 1), (2, 1, 1), (2, 2, 2)]


def test_axis_keeps_four_voxels():
    assert strides(patch="8x32x32", depth=4) == [(1, 1, 1), (2, 2, 2), (1, 2, 2), (1, 2, 2)]


def test_patch_that_is_too_small_for_the_depth_is_refused():
    with pytest.raises(ValueError, match=r"halved 2 times; take --depth 3 or a larger --patch"):
        levels_of(replace(SMALL, patch="16x16x16", depth=5))


def test_spacing_of_twice_the_finest_is_left_alone():
    assert halved((8, 8, 8), (1.99, 1.0, 1.0)) == (2, 2, 2)
    assert halved((8, 8, 8), (2.0, 1.0, 1.0)) == (1, 2, 2)


def test_short_axis_does_not_keep_the_others_from_being_halved():
    assert halved((4, 8, 8), (1.0, 4.0, 4.0)) == (1, 2, 2)


def test_levels_of_deep_supervision_follow_their_strides():
    config = replace(SMALL, thickness=4.0, patch="8x32x32", depth=4, deep_supervision=True)
    shapes = [tuple(level.shape[2:]) for level in build_model(config)(noise(1, 4, 5, 13, 14))]
    assert shapes == [(5, 13, 14), (5, 7, 7), (5, 4, 4)]


def test_loss_compares_each_level_with_its_voxels():
    label = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    label[0, :, ::2, ::2] = 1
    sure = torch.nn.functional.one_hot(label.long(), 2).permute(0, 4, 1, 2, 3) * 40.0
    ones = torch.tensor([0.0, 40.0]).view(1, 2, 1, 1, 1).expand(1, 2, 4, 4, 4)
    assert float(build_loss("ce", 2)([sure, ones], label)) < 1e-6


def test_loss_refuses_a_level_of_other_sides():
    label = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"level 1 must be \(1, 2, 2, 4, 4\)"):
        build_loss("ce", 2)([torch.zeros(1, 2, 4, 8, 8), torch.zeros(1, 2, 3, 4, 4)], label)


def test_gate_of_volumes_weighs_from_0_to_1():
    gate = AttentionGate(2, 4, (1, 2, 2))
    skip = torch.ones(1, 2, 3, 4, 4)
    out = gate(skip, noise(1, 4, 3, 2, 2))
    assert out.shape == skip.shape
    assert bool(((out > 0) & (out < 1)).all())


def test_depth_that_is_not_divided_is_not_padded():
    assert pad_to_cells(noise(1, 1, 3, 5, 5), (1, 4, 4)).shape[2:] == (3, 8, 8)


def test_instance_norm_of_volumes_is_torchs():
    ours, torchs = VolumeInstanceNorm(3, affine=True), nn.InstanceNorm3d(3, affine=True)
    image = noise(2, 3, 4, 5, 6)
    torch.testing.assert_close(ours(image), torchs(image), rtol=1e-5, atol=1e-5)


@kinds
def test_same_seed_draws_the_same_weights(kind):
    first, again, other = (
        [*build_model(replace(SMALL, kind=kind), seed).parameters()] for seed in (1, 1, 2)
    )
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
