"""Losses against numbers worked out by hand, and their gradients."""

import math

import pytest
import torch

from bratstrain.networks.losses import (
    LOSSES,
    build_loss,
    class_sums,
    cross_entropy,
    dice_ce,
    focal,
    soft_dice,
    tversky,
)

each_loss = pytest.mark.parametrize("kind", LOSSES)

# Four pixels, three classes: probabilities and labels that add up easily.
PROBABILITY = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.25, 0.0, 0.75]])
LABEL = torch.tensor([0, 1, 1, 2], dtype=torch.uint8).view(1, 2, 2)
# Sum where true, sum of all, true pixels of each class.
OVERLAP, PREDICTED, TRUTH = (0.5, 1.5, 0.75), (1.25, 1.75, 1.0), (1.0, 2.0, 1.0)
DICE = [2 * o / (p + t) for o, p, t in zip(OVERLAP, PREDICTED, TRUTH, strict=True)]
ENTROPY = [math.log(2), math.log(2), 0.0, math.log(4 / 3)]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def logits_of(probability):
    """(h w, c) probabilities of a 2 x 2 slice to (1, c, 2, 2) logits."""
    return probability.T.reshape(1, -1, 2, 2).log().clamp_min(-200)


def sure(label, classes=4):
    """Logits of a network that is sure of a (b, h, w) label."""
    return 100 * torch.nn.functional.one_hot(label.long(), classes).movedim(-1, 1).float()


def random_label(*shape):
    return torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0))


def random_logits(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_class_sums_by_hand():
    sums = torch.stack(class_sums(logits_of(PROBABILITY), LABEL))
    torch.testing.assert_close(sums, torch.tensor([OVERLAP, PREDICTED, TRUTH]))


def test_dice_by_hand():
    assert soft_dice(logits_of(PROBABILITY), LABEL).item() == pytest.approx(
        1 - sum(DICE) / 3, abs=1e-5
    )


def test_dice_without_background_by_hand():
    loss = soft_dice(logits_of(PROBABILITY), LABEL, background=False)
    assert loss.item() == pytest.approx(1 - sum(DICE[1:]) / 2, abs=1e-5)


def test_dice_with_class_weights_by_hand():
    loss = soft_dice(logits_of(PROBABILITY), LABEL, torch.tensor([1.0, 2.0, 5.0]))
    assert loss.item() == pytest.approx(1 - (DICE[0] + 2 * DICE[1] + 5 * DICE[2]) / 8, abs=1e-5)


def test_dice_sums_over_the_batch():
    # Two pixels of class 1, one found in each of two slices of which the first has no other.
    label = torch.tensor([[[1, 0]], [[1, 1]]])
    predicted = torch.tensor([[[1, 0]], [[0, 0]]])
    # Class 0: 2 * 1 / (3 + 1), class 1: 2 * 1 / (1 + 3).
    assert soft_dice(sure(predicted, 2), label).item() == pytest.approx(0.5, abs=1e-5)


def test_cross_entropy_by_hand():
    loss = cross_entropy(logits_of(PROBABILITY), LABEL)
    assert loss.item() == pytest.approx(sum(ENTROPY) / 4, rel=1e-5)


def test_cross_entropy_with_class_weights_by_hand():
    loss = cross_entropy(logits_of(PROBABILITY), LABEL, torch.tensor([1.0, 2.0, 5.0]))
    total = ENTROPY[0] + 2 * (ENTROPY[1] + ENTROPY[2]) + 5 * ENTROPY[3]
    assert loss.item() == pytest.approx(total / 10, rel=1e-5)


def test_focal_by_hand():
    loss = focal(logits_of(PROBABILITY), LABEL)
    total = 0.25 * ENTROPY[0] + 0.25 * ENTROPY[1] + 0.0625 * ENTROPY[3]
    assert loss.item() == pytest.approx(total / 4, rel=1e-5)


def test_focal_with_class_weights_by_hand():
    loss = focal(logits_of(PROBABILITY), LABEL, torch.tensor([1.0, 2.0, 5.0]))
    total = 0.25 * ENTROPY[0] + 2 * 0.25 * ENTROPY[1] + 5 * 0.0625 * ENTROPY[3]
    assert loss.item() == pytest.approx(total / 10, rel=1e-5)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 5.0])])
def test_focal_without_gamma_is_cross_entropy(weights):
    logits = logits_of(PROBABILITY)
    torch.testing.assert_close(
        focal(logits, LABEL, weights, gamma=0.0), cross_entropy(logits, LABEL, weights)
    )


def test_tversky_by_hand():
    # Class 1: found 1.5, false alarm 0.25, missed 0.5; class 2: 0.75, 0.25, 0.25.
    first = 1.5 / (1.5 + 0.3 * 0.25 + 0.7 * 0.5)
    second = 0.75 / (0.75 + 0.3 * 0.25 + 0.7 * 0.25)
    loss = tversky(logits_of(PROBABILITY), LABEL)
    assert loss.item() == pytest.approx(1 - (first + second) / 2, abs=1e-5)


def test_tversky_of_halves_is_dice():
    logits = logits_of(PROBABILITY)
    torch.testing.assert_close(
        tversky(logits, LABEL, false_positive=0.5, false_negative=0.5),
        soft_dice(logits, LABEL, background=False),
        atol=1e-5,
        rtol=0,
    )


def test_tversky_minds_a_miss_more_than_a_false_alarm():
    label = torch.tensor([[[1, 1, 0, 0]]])
    missed = tversky(sure(torch.tensor([[[1, 0, 0, 0]]]), 2), label)
    alarmed = tversky(sure(torch.tensor([[[1, 1, 1, 0]]]), 2), label)
    assert missed > alarmed


def test_dice_ce_is_the_sum_of_both():
    loss = dice_ce(logits_of(PROBABILITY), LABEL)
    assert loss.item() == pytest.approx(1 - sum(DICE[1:]) / 2 + sum(ENTROPY) / 4, abs=1e-5)


@each_loss
def test_perfect_prediction_costs_nothing(kind):
    label = random_label(2, 4, 5)
    assert build_loss(kind, 4)(sure(label), label).item() == pytest.approx(0, abs=1e-6)


@each_loss
def test_absent_classes_cost_nothing_where_none_is_predicted(kind):
    label = torch.zeros(2, 4, 5, dtype=torch.uint8)
    assert build_loss(kind, 4)(sure(label), label).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "cost"),
    # Three of four pixels are missed; background: 2 * 1 / (4 + 1). Entropy: 100 nats a miss.
    [("dice", 1 - 0.4 / 4), ("tversky", 1.0), ("ce", 75.0), ("focal", 75.0), ("dice_ce", 76.0)],
)
def test_empty_prediction_by_hand(kind, cost):
    label = torch.tensor([[[0, 1], [2, 3]]])
    loss = build_loss(kind, 4)(sure(torch.zeros_like(label)), label)
    assert loss.item() == pytest.approx(cost, rel=1e-4)


@each_loss
def test_empty_prediction_still_has_a_gradient(kind):
    label = torch.tensor([[[0, 1], [2, 3]]])
    logits = (0.05 * sure(torch.zeros_like(label))).requires_grad_()
    build_loss(kind, 4)(logits, label).backward()
    pull = logits.grad.gather(1, label[:, None])[:, 0]
    assert (pull[label > 0] < 0).all()  # a step downhill raises each missed class


@each_loss
@pytest.mark.parametrize("weights", [None, [0.5, 3.0, 1.0, 2.0]])
def test_gradient_equals_finite_differences(kind, weights):
    weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    loss = build_loss(kind, 4, weights)
    label = random_label(2, 3, 3)
    logits = random_logits(2, 4, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, label), logits)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_logits_give_the_loss_of_the_same_numbers_in_full(kind, dtype):
    label = random_label(2, 4, 5)
    logits = random_logits(2, 4, 4, 5).to(dtype)
    loss = build_loss(kind, 4)
    assert loss(logits, label).dtype == torch.float32
    assert torch.equal(loss(logits, label), loss(logits.float(), label))


@each_loss
def test_sums_beyond_the_largest_half_do_not_overflow(kind):
    label = torch.ones(1, 300, 300, dtype=torch.uint8)  # 90,000 pixels
    logits = sure(label).half().requires_grad_()
    loss = build_loss(kind, 4)(logits, label)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad.isfinite().all()


@each_loss
def test_loss_is_the_same_under_autocast(kind):
    label = random_label(2, 4, 5)
    logits = random_logits(2, 4, 4, 5).float()
    loss = build_loss(kind, 4)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(logits, label)
    assert torch.equal(inside, loss(logits, label))


@each_loss
def test_label_may_be_uint8_or_int64(kind):
    label = random_label(2, 4, 5)
    logits = random_logits(2, 4, 4, 5).float()
    loss = build_loss(kind, 4)
    assert torch.equal(loss(logits, label), loss(logits, label.byte()))


@each_loss
def test_only_ratios_of_weights_count(kind):
    label, logits = random_label(2, 4, 5), random_logits(2, 4, 4, 5).float()
    weights = torch.tensor([0.5, 3.0, 1.0, 2.0])
    torch.testing.assert_close(
        build_loss(kind, 4, weights)(logits, label), build_loss(kind, 4, 8 * weights)(logits, label)
    )


def test_levels_weigh_one_half_and_a_quarter():
    label = random_label(1, 5, 7)
    levels = [random_logits(1, 4, *size).float() for size in ((5, 7), (3, 4), (2, 2))]
    labels = [label, label[:, [0, 2, 4]][:, :, [0, 2, 4, 6]], label[:, [0, 4]][:, :, [0, 4]]]
    parts = [cross_entropy(level, part) for level, part in zip(levels, labels, strict=True)]
    wanted = (4 * parts[0] + 2 * parts[1] + parts[2]) / 7
    torch.testing.assert_close(build_loss("ce", 4)(levels, label), wanted)


def test_list_of_one_level_is_the_plain_loss():
    label, logits = random_label(1, 5, 7), random_logits(1, 4, 5, 7).float()
    loss = build_loss("dice_ce", 4)
    assert torch.equal(loss([logits], label), loss(logits, label))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("hinge", 4), "loss must be one of dice, dice_ce, ce, focal, tversky, got 'hinge'"),
        (("ce", 1), "classes must be at least 2, got 1"),
        (("ce", 3, torch.ones(2)), r"weights must be of shape \(3,\), got \(2,\)"),
        (("ce", 2, torch.tensor([0.0, 1.0])), r"finite and above 0, got \[0.0, 1.0\]"),
        (("ce", 2, torch.tensor([1.0, torch.inf])), r"finite and above 0, got \[1.0, inf\]"),
    ],
    ids=["kind", "classes", "shape", "zero", "infinite"],
)
def test_build_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        build_loss(*call)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "at least one level, got an empty list"),
        ([(1, 3, 4, 4)], r"logits of level 0 must be \(1, 4, 4, 4\), got \(1, 3, 4, 4\)"),
        ([(1, 4, 4, 4), (1, 4, 1, 2)], r"level 1 must be \(1, 4, 2, 2\), got \(1, 4, 1, 2\)"),
    ],
    ids=["empty", "classes", "size"],
)
def test_loss_refuses(levels, message):
    with pytest.raises(ValueError, match=message):
        build_loss("ce", 4)([torch.zeros(shape) for shape in levels], random_label(1, 4, 4))
