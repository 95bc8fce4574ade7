import dataclasses
import gc
import math
import weakref

import pytest
import torch

from bratstrain import config
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.data import augment
from bratstrain.networks import losses
from bratstrain.ranks.group import ALONE
from bratstrain.ranks.process_group import ProcessGroup
from bratstrain.training import schedule
from bratstrain.training.result import Progress
from bratstrain.training.step import Trainer, can_be_recorded
from tests.helpers.choices import allow, words

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    model=ModelConfig(width=2, depth=2, norm="batch"), warmup=0, precision="fp32", augment="none"
)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(4, 4, 8, 8, generator=generator)
    return image, torch.randint(0, 4, (4, 8, 8), generator=generator, dtype=torch.uint8)


def make(**settings):
    return Trainer(dataclasses.replace(CONFIG, **settings), CPU)


def test_step_is_that_of_adam():
    trainer, image, label = make(ema=0.0, clip=0.0, learning_rate=0.01), *batch()
    before = [each.detach().clone() for each in trainer.network.parameters()]
    trainer.step(image, label, 0, 0.0)
    # The first step of Adam is the learning rate in the direction of the gradient.
    for old, new in zip(before, trainer.network.parameters(), strict=True):
        moved = (new.detach() - old).abs()
        assert moved.max() <= 0.01 + 1e-6
    assert float(moved.max()) == pytest.approx(0.01, rel=1e-2)


def test_gradients_are_clipped_to_their_norm(monkeypatch):
    trainer, norms = make(clip=0.001), []
    step = trainer.optimizer.step

    def look(*arguments):
        grads = torch.cat([each.grad.flatten() for each in trainer.network.parameters()])
        norms.append(float(grads.norm()))
        return step(*arguments)

    monkeypatch.setattr(trainer.optimizer, "step", look)
    trainer.step(*batch(), 0, 0.0)
    assert norms == [pytest.approx(0.001, rel=1e-2)]


def test_average_lags_behind_the_weights():
    trainer = make(ema=0.999)
    old = [each.clone() for each in trainer.average.parameters()]
    trainer.step(*batch(), 0, 0.0)
    # The decay after the first step is 1 / 10, see `ema_decay`.
    pairs = zip(old, trainer.network.parameters(), trainer.average.parameters(), strict=True)
    for before, weight, mean in pairs:
        torch.testing.assert_close(mean, 0.1 * before + 0.9 * weight.detach())


def test_average_of_the_last_share_is_the_mean_of_its_weights():
    trainer, seen = make(ema=0.9, swa=0.5, learning_rate=0.01), []
    for step in range(8):
        trainer.step(*batch(step), step, step / 8)
        seen.append([each.detach().clone() for each in trainer.network.parameters()])
    assert trainer.averaged == 4
    for k, mean in enumerate(trainer.average.parameters()):
        torch.testing.assert_close(mean, torch.stack([each[k] for each in seen[4:]]).mean(dim=0))


def test_average_of_the_last_share_goes_on_from_a_state():
    whole, first = (make(ema=0.0, swa=0.75, learning_rate=0.01) for _ in range(2))
    for step in range(8):
        whole.step(*batch(step), step, step / 8)
    for step in range(5):
        first.step(*batch(step), step, step / 8)
    second = make(ema=0.0, swa=0.75, learning_rate=0.01)
    second.load_state(first.state())
    for step in range(5, 8):
        second.step(*batch(step), step, step / 8)
    assert second.averaged == 6
    pairs = zip(whole.average.parameters(), second.average.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_before_the_last_share_without_ema_the_weights_are_used():
    trainer = make(ema=0.0, swa=0.5)
    trainer.step(*batch(), 0, 0.0)
    pairs = zip(trainer.network.parameters(), trainer.average.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_average_has_the_moments_of_batch_norm():
    trainer = make(ema=0.999)
    trainer.step(*batch(), 0, 0.0)
    pairs = zip(trainer.network.buffers(), trainer.average.buffers(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_weights_are_those_that_segment(ema):
    trainer, image = make(ema=ema), batch()[0]
    trainer.step(*batch(), 0, 0.0)
    logits = trainer.segment(image)
    trainer.network.load_state_dict(trainer.weights())
    assert trainer.network.training
    assert torch.equal(trainer.network.eval()(image), logits)


def test_dropout_depends_on_seed_and_step_alone():
    model = ModelConfig(width=4, depth=2, dropout=0.5)
    losses = [float(make(model=model).step(*batch(), step, 0.0)) for step in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_bad_step_changes_nothing():
    trainer, (image, label) = make(ema=0.9), batch()
    trainer.step(image, label, 0, 0.0)
    before = {name: each.clone() for name, each in trainer.network.state_dict().items()}
    assert math.isnan(trainer.step(image * math.inf, label, 1, 0.1))
    for name, each in trainer.network.state_dict().items():
        assert torch.equal(each, before[name]), name


def test_bad_step_does_not_move_the_average():
    trainer, (image, label) = make(ema=0.9), batch()
    for step in range(3):
        trainer.step(image, label, step, 0.0)
    before = {name: value.clone() for name, value in trainer.average.state_dict().items()}
    trainer.step(image * math.inf, label, 3, 0.1)
    for name, value in trainer.average.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_gradient_beyond_fp16_does_not_move_the_average():
    trainer = make(precision="fp16", ema=0.9)
    trainer.step(*batch(), 0, 0.0)
    before = [value.clone() for value in trainer.average.parameters()]
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    trainer.step(*batch(1), 1, 0.1)
    pairs = zip(before, trainer.average.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_loss_can_be_added(monkeypatch):
    def absolute(logits, label, weights, group=ALONE):
        return (logits.argmax(dim=1) - label.long()).abs().float().mean() + logits.square().mean()

    allow(monkeypatch, config.TrainConfig, "loss", "absolute")
    entry = losses.Criterion(absolute, is_weighted=True)
    monkeypatch.setattr(losses, "LOSSES", {**losses.LOSSES, "absolute": entry})
    trainer, (image, label) = make(loss="absolute", ema=0.0), batch()
    before = [value.detach().clone() for value in trainer.network.parameters()]
    expected = absolute(trainer.network(image), label, None)
    assert float(trainer.step(image, label, 0, 0.0)) == pytest.approx(float(expected.detach()))
    pairs = zip(before, trainer.network.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in pairs)


def test_augmentation_can_be_added(monkeypatch):
    def brighter(image, is_rare, chance):
        return image + 1

    allow(monkeypatch, config.TrainConfig, "augment", "brighter")
    added = {**augment.AUGMENTS, "brighter": augment.Augmentation(look=brighter)}
    monkeypatch.setattr(augment, "AUGMENTS", added)
    image, label = batch()
    plain = make().step(image + 1, label, 0, 0.0)
    assert torch.equal(make(augment="brighter").step(image, label, 0, 0.0), plain)


def test_schedule_can_be_added(monkeypatch):
    allow(monkeypatch, config.TrainConfig, "schedule", "half")
    monkeypatch.setattr(schedule, "SCHEDULES", {"half": lambda progress: 0.5})
    trainer = make(schedule="half", learning_rate=0.2)
    trainer.step(*batch(), 0, 0.0)
    assert trainer.rate == 0.1


@pytest.mark.parametrize(
    ("registry", "setting"),
    [
        (losses.LOSSES, "loss"),
        (augment.AUGMENTS, "augment"),
        (schedule.SCHEDULES, "schedule"),
    ],
    ids=["losses", "augments", "schedules"],
)
def test_registries_are_those_that_the_settings_know(registry, setting):
    assert tuple(registry) == words(config.TrainConfig, setting)


def test_scaler_of_fp16_goes_into_the_state():
    trainer = make(precision="fp16")
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    trainer.step(*batch(), 0, 0.0)
    other = make(precision="fp16")
    other.load_state(trainer.state())
    assert other.scaler.get_scale() == 512.0


def test_scaler_leaves_out_gradients_beyond_fp16():
    trainer = make(precision="fp16", ema=0.0)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = [each.detach().clone() for each in trainer.network.parameters()]
    loss = trainer.step(*batch(), 0, 0.0)
    assert math.isfinite(loss)
    assert trainer.scaler.get_scale() == 2.0**39
    pairs = zip(before, trainer.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_state_of_another_optimiser_is_refused():
    trainer = make()
    trainer.step(*batch(), 0, 0.0)
    state = trainer.state()
    del state["optimizer"][0]
    with pytest.raises(ValueError, match=r"moments of parameter 0 are \{\}, expected"):
        make().load_state(state)


def test_progress_comes_back():
    progress = Progress(step=3, used_s=0.5, best_score=0.25)
    assert Progress.from_plain(progress.to_plain()) == progress


@pytest.mark.parametrize("numbers", [{}, Progress().to_plain() | {"step": 1.0}])
def test_progress_of_another_form_is_refused(numbers):
    with pytest.raises(ValueError, match="expected step, validated, "):
        Progress.from_plain(numbers)


def test_compiled_network_keeps_its_names(monkeypatch):
    called = []

    def note(self):
        called.append(self)

    monkeypatch.setattr(torch.nn.Module, "compile", note)
    trainer = make(compile=True)
    assert called == [trainer.network]
    assert set(trainer.state()["network"]) == set(make().network.state_dict())


@pytest.mark.parametrize(
    ("device", "settings", "kind", "group", "can"),
    [
        ("cuda:0", {"precision": "bf16"}, "unet", ALONE, True),
        ("cuda:0", {}, "residual3d", ALONE, True),
        ("cuda:0", {"precision": "fp16"}, "unet", ALONE, False),
        ("cuda:0", {"compile": True}, "unet", ALONE, False),
        ("cuda:0", {}, "package.module:network", ALONE, False),
        ("cuda:0", {}, "unet", ProcessGroup(0, 1, 1), False),
        ("cpu", {}, "unet", ALONE, False),
    ],
)
def test_what_was_never_seen_recorded_is_not(device, settings, kind, group, can):
    model = dataclasses.replace(CONFIG.model, kind=kind)
    settings = dataclasses.replace(CONFIG, model=model, **settings)
    assert can_be_recorded(settings, torch.device(device), group) is can


def test_a_trainer_is_freed_without_a_collection():
    gc.disable()
    try:
        trainer, image, label = make(), *batch()
        trainer.step(image, label, 0, 0.0)
        alive = weakref.ref(trainer)
        del trainer
        assert alive() is None
    finally:
        gc.enable()
