import pytest
import torch

from bratstrain.config import LOSSES as LOSS_NAMES
from bratstrain.networks.losses import LOSSES
from bratstrain.networks.region_losses import (
    REGION_LOSSES,
    build_region_loss,
    region_cross_entropy,
    region_dice,
    region_dice_ce,
    region_focal,
    region_tversky,
)

NESTING = (2, 1, 3)
CHANCES = torch.tensor([[[0.9, 0.2]], [[0.5, 0.5]]]).transpose(0, 1)  # (1, 2, 2): two regions
TRUTH = torch.tensor([[[True, False], [True, False]]])


def drawn(shape=(2, 3, 4, 4)):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    label = torch.randint(0, 4, (shape[0], *shape[2:]), generator=generator, dtype=torch.uint8)
    return logits, label


def test_each_loss_of_classes_has_one_of_regions():
    assert set(REGION_LOSSES) == set(LOSSES) == set(LOSS_NAMES)


def test_dice_worked_out_by_hand():
    # Region 0: 2 x .9 / (1.1 + 1); region 1: 2 x .5 / (1 + 1).
    found = region_dice(CHANCES.logit(), TRUTH)
    assert float(found) == pytest.approx(1 - (1.8 / 2.1 + 0.5) / 2, abs=1e-4)
    even = region_tversky(CHANCES.logit(), TRUTH, false_positive=0.5, false_negative=0.5)
    assert float(even) == pytest.approx(float(found), abs=1e-4)


def test_cross_entropy_worked_out_by_hand():
    chance = torch.tensor([0.9, 0.8, 0.5, 0.5])  # of what is true, pixel by pixel
    assert float(region_cross_entropy(CHANCES.logit(), TRUTH)) == pytest.approx(
        float(-chance.log().mean()), abs=1e-5
    )
    assert float(region_focal(CHANCES.logit(), TRUTH, gamma=0.0)) == pytest.approx(
        float(-chance.log().mean()), abs=1e-5
    )
    focal = -((1 - chance) ** 2 * chance.log()).mean()
    assert float(region_focal(CHANCES.logit(), TRUTH)) == pytest.approx(float(focal), abs=1e-5)
    both = region_dice(CHANCES.logit(), TRUTH) + region_cross_entropy(CHANCES.logit(), TRUTH)
    assert float(region_dice_ce(CHANCES.logit(), TRUTH)) == pytest.approx(float(both))


def test_tversky_weighs_a_missed_pixel_more_than_a_false_one():
    missed = torch.tensor([[[40.0, -40, -40]]]), torch.tensor([[[True, True, False]]])
    false = torch.tensor([[[40.0, 40, -40]]]), torch.tensor([[[True, False, False]]])
    assert float(region_tversky(*missed)) == pytest.approx(1 - 1 / 1.7, abs=1e-4)
    assert float(region_tversky(*false)) == pytest.approx(1 - 1 / 1.3, abs=1e-4)


@pytest.mark.parametrize("kind", REGION_LOSSES)
def test_gradients_are_those_of_finite_differences(kind):
    logits, label = drawn()
    loss = build_region_loss(kind, NESTING)
    assert torch.autograd.gradcheck(lambda logits: loss(logits, label), (logits,))


@pytest.mark.parametrize("kind", REGION_LOSSES)
def test_a_region_that_is_nowhere_gives_a_finite_loss(kind):
    logits, _ = drawn()
    empty = torch.zeros((2, 4, 4), dtype=torch.uint8)
    loss = build_region_loss(kind, NESTING)(logits, empty)
    loss.backward()
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("kind", REGION_LOSSES)
def test_the_truth_itself_costs_nearly_nothing(kind):
    label = torch.randint(0, 4, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    nested = torch.stack([label > 0, (label == 1) | (label == 3), label == 3], dim=1)
    loss = build_region_loss(kind, NESTING)(40 * (nested.float() - 0.5), label)
    assert float(loss) < 1e-5


def test_levels_are_supervised_as_of_classes():
    logits, label = drawn()
    logits = logits.detach()
    coarse = torch.zeros(2, 3, 2, 2, dtype=torch.float64)
    loss = build_region_loss("dice", NESTING)
    own, below = loss(logits, label), loss(coarse, label[:, ::2, ::2])
    assert float(loss([logits, coarse], label)) == pytest.approx(float((2 * own + below) / 3))


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match=r"^loss must be one of dice"):
        build_region_loss("hinge", NESTING)
    logits, label = drawn((2, 4, 4, 4))
    with pytest.raises(ValueError, match=r"logits of level 0 must be \(2, 3, 4, 4\)"):
        build_region_loss("dice", NESTING)(logits, label)
