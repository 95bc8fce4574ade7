"""Augmentation: what it must leave alone, what must move together, and each change by hand."""

import math

import numpy as np
import pytest
import torch

from bratstrain.config import AUGMENTS
from bratstrain.data import augment as module
from bratstrain.data.augment import Pose, augment, only, place
from bratstrain.data.chance import Chance, Draw
from bratstrain.data.intensities import bend, blur, coarsen, stretch

active = pytest.mark.parametrize("kind", AUGMENTS[1:])
STEPS = range(12)


def batch(n=6, h=24, w=20):
    """A round head of noise with a square tumour of all three classes, and background."""
    generator = torch.Generator().manual_seed(7)
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    head = (rows - h / 2) ** 2 / h**2 + (columns - w / 2) ** 2 / w**2 < 0.16
    image = torch.randn((n, 4, h, w), generator=generator) * head
    label = torch.zeros((n, h, w), dtype=torch.uint8)
    label[:, 8:14, 7:13] = 2
    label[::2, 9:12, 8:11] = 3
    label[::2, 10, 9] = 1
    return image, label


def pose(n, *, x=0, y=0, angle=0.0, scale=1.0):
    numbers = (x, y, angle, scale)
    return Pose(*(np.full(n, number, np.float32) for number in numbers))


def chance(generator):
    """Decisions from a generator; no noise is drawn."""
    return Chance(generator, torch.Generator())


def column(*numbers):
    return torch.tensor(numbers)[:, None, None]


def test_none_gives_back_what_it_got():
    image, label = batch()
    out = augment(image, label, kind="none", seed=0, step=0)
    assert out[0] is image
    assert out[1] is label


@pytest.mark.parametrize("kind", AUGMENTS)
def test_augment_keeps_shape_and_dtype(kind):
    image, label = augment(*batch(), kind=kind, seed=0, step=0)
    assert (image.shape, image.dtype) == ((6, 4, 24, 20), torch.float32)
    assert (label.shape, label.dtype) == ((6, 24, 20), torch.uint8)


@active
def test_same_seed_and_step_give_the_same_bytes(kind):
    for step in STEPS:
        first = augment(*batch(), kind=kind, seed=3, step=step)
        again = augment(*batch(), kind=kind, seed=3, step=step)
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])


@active
@pytest.mark.parametrize("other", [{"seed": 4, "step": 5}, {"seed": 3, "step": 6}])
def test_other_seed_or_step_gives_another_batch(kind, other):
    first = augment(*batch(), kind=kind, seed=3, step=5)
    assert not torch.equal(first[0], augment(*batch(), kind=kind, **other)[0])


@active
def test_samples_of_a_batch_are_drawn_apart(kind):
    image, label = batch()
    image, label = image[:1].expand(6, -1, -1, -1), label[:1].expand(6, -1, -1)
    out, _ = augment(image, label, kind=kind, seed=0, step=1)
    assert len({sample.numpy().tobytes() for sample in out}) > 2


@active
def test_global_generators_stay_as_they_were(kind):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    augment(*batch(), kind=kind, seed=0, step=0)
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@active
def test_input_stays_as_it_was(kind):
    image, label = batch()
    for step in STEPS:
        augment(image, label, kind=kind, seed=0, step=step)
    assert torch.equal(image, batch()[0])
    assert torch.equal(label, batch()[1])


@active
def test_labels_stay_labels(kind):
    for step in STEPS:
        _, label = augment(*batch(), kind=kind, seed=0, step=step)
        assert set(label.unique().tolist()) <= {0, 1, 2, 3}


@active
def test_background_is_exactly_zero(kind):
    for step in STEPS:
        image, label = batch()
        generator = np.random.default_rng((0, step))
        generator.integers(2**63)
        drawn = module.AUGMENTS[kind].draw_pose(chance(generator), 6)
        _, _, brain = place(image, label, drawn)
        out, _ = augment(image, label, kind=kind, seed=0, step=step)
        assert not out.masked_select(~brain[:, None]).any()
        assert out.abs().sum(dim=1).masked_select(brain).gt(0).float().mean() > 0.95


@active
def test_empty_slice_stays_empty(kind):
    image, label = torch.zeros(6, 4, 24, 20), torch.zeros(6, 24, 20, dtype=torch.uint8)
    for step in STEPS:
        moved = augment(image, label, kind=kind, seed=0, step=step)
        assert not any(part.any() for part in moved)


@active
def test_odd_sizes_and_one_sample_work(kind):
    image, label = batch(n=1, h=17, w=23)
    for step in STEPS:
        out, out_label = augment(image, label, kind=kind, seed=0, step=step)
        assert out.isfinite().all()
        assert out_label.shape == (1, 17, 23)


@active
def test_tumour_stays_under_its_label(kind):
    image, label = torch.zeros(4, 4, 64, 56), torch.zeros(4, 64, 56, dtype=torch.uint8)
    image[:, :, 6:58, 6:50] = -0.5
    image[:, :, 16:30, 14:26] = 4.0
    label[:, 16:30, 14:26] = 2
    for step in STEPS:
        out, out_label = augment(image, label, kind=kind, seed=0, step=step)
        bright, tumour = out.mean(dim=1) > 1.75, out_label == 2
        overlap = 2 * (bright & tumour).sum((1, 2)) / (bright.sum((1, 2)) + tumour.sum((1, 2)))
        assert overlap.min() > 0.9


@active
def test_batch_is_the_same_under_autocast(kind):
    plain = augment(*batch(), kind=kind, seed=0, step=2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = augment(*batch(), kind=kind, seed=0, step=2)
    assert torch.equal(plain[0], inside[0])
    assert torch.equal(plain[1], inside[1])


def test_rotation_only_moves():
    image, label = batch()
    generator = np.random.default_rng((0, 3))
    generator.integers(2**63)
    turned = module.AUGMENTS["rotation"].draw_pose(chance(generator), 6)
    moved = place(image, label, turned)
    out, out_label = augment(image, label, kind="rotation", seed=0, step=3)
    assert torch.equal(out, moved[0].masked_fill(~moved[2][:, None], 0))
    assert torch.equal(out_label, moved[1])


def test_noise_moves_nothing_and_does_not_look_at_the_label():
    image, label = batch()
    for step in STEPS:
        out, out_label = augment(image, label, kind="noise", seed=0, step=step)
        blind, _ = augment(image, torch.zeros_like(label), kind="noise", seed=0, step=step)
        assert torch.equal(out_label, label)
        assert torch.equal(out, blind)


@pytest.mark.parametrize("kind", ["targeted", "combined"])
def test_targeted_noise_moves_nothing_and_is_stronger_where_rare_classes_are(kind):
    image = torch.ones(64, 1, 16, 16)
    label = torch.zeros(64, 16, 16, dtype=torch.uint8)
    label[:32, 4, 4] = 1
    out, moved = augment(image, label, (1,), kind=kind, seed=0, step=0)
    assert torch.equal(moved, label)
    spread = out.flatten(1).std(dim=1)
    rare, plain = spread[:32], spread[32:]
    assert float((rare > 1e-4).float().mean()) > 1.5 * float((plain > 1e-4).float().mean())
    assert float(rare[rare > 1e-4].min()) > 0.045
    assert float(plain.max()) < 0.055


def test_targeted_leaves_a_sample_without_noise_as_it_is_and_combined_scales_it():
    image, label = batch()
    still = [augment(image, label, kind="targeted", seed=0, step=step)[0] for step in STEPS]
    same = [bool((out == image).flatten(1).all(dim=1).any()) for out in still]
    assert any(same)
    scaled, _ = augment(torch.ones(64, 1, 4, 4), torch.zeros(64, 4, 4, dtype=torch.uint8),
                        kind="combined", seed=0, step=0)  # fmt: skip
    means = scaled.flatten(1).mean(dim=1)
    assert float((means - 1).abs().max()) > 0.05


def test_unknown_kind_is_refused():
    every = "none, rotation, noise, targeted, combined, modern"
    with pytest.raises(ValueError, match=f"must be one of {every}, got 'auto'"):
        augment(*batch(), kind="auto", seed=0, step=0)


@pytest.mark.parametrize(("flags", "axis"), [({"x": 1}, -1), ({"y": 1}, -2)], ids=["x", "y"])
def test_flip_turns_image_and_label_alike(flags, axis):
    image, label = batch()
    out, out_label, brain = place(image, label, pose(6, **flags))
    assert torch.equal(out, image.flip(axis))
    assert torch.equal(out_label, label.flip(axis))
    assert torch.equal(brain, (image != 0).any(dim=1).flip(axis))


def test_right_angle_turns_x_towards_y():
    # On a square, by index: what lay at the end of x lies at the end of y.
    image, label = batch(h=21, w=21)
    out, out_label, _ = place(image, label, pose(6, angle=math.pi / 2))
    torch.testing.assert_close(out, image.rot90(-1, (2, 3)), atol=1e-4, rtol=0)
    assert torch.equal(out_label, label.rot90(-1, (1, 2)))
    assert torch.equal(out_label[:, 20, :], label[:, :, 20].flip(1))


def test_rotation_keeps_lengths_on_a_slice_that_is_not_square():
    # A bar of 21 pixels along x, turned by a right angle, is a bar of 21 pixels along y.
    image, label = torch.zeros(1, 4, 41, 31), torch.zeros(1, 41, 31, dtype=torch.uint8)
    label[:, 20, 5:26] = 3
    image[:, :, 20, 5:26] = 1
    _, out, brain = place(image, label, pose(1, angle=math.pi / 2))
    wanted = torch.zeros_like(label)
    wanted[:, 10:31, 15] = 3
    assert torch.equal(out, wanted)
    assert torch.equal(brain, wanted > 0)


def test_scale_of_two_makes_four_pixels_of_one():
    image, label = torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    label[:, 3:5, 3:5] = 1
    image[:, :, 3:5, 3:5] = 1
    _, out, _ = place(image, label, pose(1, scale=2.0))
    wanted = torch.zeros_like(label)
    wanted[:, 2:6, 2:6] = 1
    assert torch.equal(out, wanted)


def test_rotation_brings_background_in_from_outside():
    image, label = torch.ones(1, 4, 9, 9), torch.full((1, 9, 9), 3, dtype=torch.uint8)
    out, out_label, brain = place(image, label, pose(1, angle=math.pi / 4))
    assert out_label[0, 0, 0] == 0
    assert not brain[0, 0, 0]
    assert not out[0, :, 0, 0].any()


def test_label_on_background_moves_too():
    image, label = torch.zeros(1, 4, 9, 9), torch.zeros(1, 9, 9, dtype=torch.uint8)
    label[:, 4, 4] = 3
    _, out, brain = place(image, label, pose(1, angle=0.1))
    assert out[0, 4, 4] == 3
    assert not brain.any()


def test_draw_hits_as_often_as_its_chance():
    drawn = Draw(0.25, 2, 4, off=1).sample(np.random.default_rng(0), 20_000)
    chosen = drawn[drawn != 1]
    assert len(chosen) / 20_000 == pytest.approx(0.25, abs=0.01)
    assert (chosen.min(), chosen.max()) == pytest.approx((2, 4), abs=0.01)


def test_draw_leaves_modalities_of_a_chosen_sample_out():
    drawn = Draw(1, 2, 4, share=0.5).sample(np.random.default_rng(0), 5_000, 4)
    assert (drawn != 0).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("rare", [1, 3])
def test_targeted_noise_is_stronger_and_more_frequent_on_rare_classes(rare):
    label = torch.full((4_000, 1, 2), 2, dtype=torch.uint8)
    label[:2_000, 0, 1] = rare
    sigma = module.targeted_noise(label == rare, chance(np.random.default_rng(0)))
    hit, miss = sigma[:2_000], sigma[2_000:]
    assert (hit > 0).float().mean().item() == pytest.approx(0.6, abs=0.04)
    assert (miss > 0).float().mean().item() == pytest.approx(0.2, abs=0.04)
    assert hit[hit > 0].min() >= miss.max()


@pytest.mark.parametrize(
    ("voxels", "rare"),
    [
        ([[9, 1, 5, 2], [9, 1, 5, 2]], (1, 3)),
        ([[9, 4]], ()),
        ([[9, 1, 2, 3, 4, 5, 8]], (1, 2, 3, 4, 5)),
    ],
    ids=["three classes", "one class", "six classes"],
)
def test_rare_classes_are_all_of_the_tumour_but_the_largest(voxels, rare):
    assert module.rare_classes(np.array(voxels)) == rare


def test_nothing_is_dropped_without_a_chance():
    image = batch()[0]
    assert module.drop_modalities(image, 0.0, seed=0, step=0) is image


@pytest.mark.parametrize("n_modalities", [1, 2, 5])
def test_dropped_modalities_are_zero_and_the_others_are_scaled_up(n_modalities):
    image = torch.ones(400, n_modalities, 2, 2)
    out = module.drop_modalities(image, 0.5, seed=3, step=7)
    kept = (out != 0).all(dim=(2, 3))
    assert torch.equal(kept, (out != 0).any(dim=3).any(dim=2))
    n_kept = kept.sum(dim=1)
    assert n_kept.min() >= 1
    assert torch.equal(n_kept.unique(), torch.arange(1, n_modalities + 1))
    sums = out.sum(dim=1)
    torch.testing.assert_close(sums, torch.full_like(sums, n_modalities))
    assert (image == 1).all()


def test_dropped_modalities_are_a_function_of_seed_and_step():
    image = torch.ones(64, 4, 2, 2)
    first = module.drop_modalities(image, 0.4, seed=3, step=7)
    assert torch.equal(first, module.drop_modalities(image, 0.4, seed=3, step=7))
    for other in ({"seed": 4, "step": 7}, {"seed": 3, "step": 8}):
        assert not torch.equal(first, module.drop_modalities(image, 0.4, **other))


def test_only_changes_the_chosen_rows():
    rows = torch.arange(6.0).view(3, 2)
    out = only(rows, np.array([True, False, True]), torch.mul, torch.tensor([[10.0], [100.0]]))
    assert out.tolist() == [[0, 10], [2, 3], [400, 500]]
    assert rows.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_stretch_by_hand():
    planes = torch.tensor([[[1.0, 3.0, 0.0]]])  # mean of the tissue is 2
    assert stretch(planes, column(0.5)).tolist() == [[[1.5, 2.5, 0.0]]]


def test_bend_by_hand():
    # Over the range 1 to 5, squared: 0, 1/4, 1; spread out again to the mean and spread before.
    planes = torch.tensor([[[1.0, 3.0, 5.0]]])
    bent = np.array([0, 0.25, 1])
    wanted = (bent - bent.mean()) / bent.std() * np.std([1, 3, 5]) + 3
    np.testing.assert_allclose(bend(planes, column(2.0))[0, 0], wanted, rtol=1e-5)


def test_bend_keeps_mean_and_spread_of_the_tissue():
    planes = batch()[0][:, 0]
    out = bend(planes, column(0.7, 0.8, 0.9, 1.1, 1.3, 1.5))
    for before, after in zip(planes, out, strict=True):
        inside = before != 0
        torch.testing.assert_close(after[inside].mean(), before[inside].mean(), atol=1e-5, rtol=0)
        torch.testing.assert_close(after[inside].std(), before[inside].std(), atol=1e-5, rtol=0)
        assert not after[~inside].any()


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_bend_leaves_a_constant_plane_alone(value):
    planes = torch.full((1, 3, 3), value)
    assert torch.equal(bend(planes, column(1.4)), planes)


def test_blur_of_one_pixel_is_the_gaussian():
    planes = torch.zeros(2, 9, 8)
    planes[:, 4, 3] = 1
    for out, sigma in zip(blur(planes, column(0.5, 1.0)), (0.5, 1.0), strict=True):
        line = np.exp(-0.5 * (np.arange(-3, 4) / sigma) ** 2)
        wanted = np.pad(np.outer(line, line) / line.sum() ** 2, ((1, 1), (0, 1)))
        np.testing.assert_allclose(out, wanted, atol=1e-6)


def test_coarsen_to_half_by_hand():
    # Coarse rows come from rows 0 and 2 (0.5 and 2.5, rounded to even), at heights 0.5 and 2.5.
    rows = torch.tensor([0.0, 10.0, 20.0, 30.0])
    out = coarsen(rows[None, :, None].expand(1, 4, 3).clone(), column(0.5))
    assert out[0, :, 1].tolist() == [0, 5, 15, 20]


def test_coarsen_treats_columns_like_rows():
    planes = batch()[0][:2, 0]
    zoom = column(0.6, 0.9)
    once = coarsen(planes, zoom)
    torch.testing.assert_close(coarsen(planes.transpose(1, 2), zoom).transpose(1, 2), once)


@pytest.mark.parametrize("zoom", [0.5, 0.73, 1.0])
def test_coarsen_keeps_a_constant(zoom):
    planes = torch.full((1, 7, 9), 2.5)
    assert torch.equal(coarsen(planes, column(zoom)), planes)
