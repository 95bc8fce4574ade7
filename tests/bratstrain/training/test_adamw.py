"""AdamW: the bits of torch's own, and nothing of torch's compiler."""

import subprocess
import sys

import pytest
import torch

from bratstrain.training.adamw import AdamW

SHAPES = [(3, 2, 3, 3), (3,), ()]


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def give_gradients(tensors, seed):
    generator = torch.Generator().manual_seed(seed)
    for each in tensors:
        each.grad = torch.randn(each.shape, generator=generator)


def walked(weight_decay=0.1, steps=3):
    """Parameters and optimiser after some steps."""
    mine = parameters()
    optimizer = AdamW(mine, weight_decay)
    for step in range(steps):
        give_gradients(mine, step)
        optimizer.rate = 0.01 * (step + 1)
        optimizer.step()
    return mine, optimizer


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_weights_are_those_of_torch_to_the_bit(weight_decay):
    theirs = parameters()
    optimizer = torch.optim.AdamW(theirs, lr=1.0, weight_decay=weight_decay, fused=True)
    for step in range(3):
        give_gradients(theirs, step)
        optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)
        optimizer.step()
    mine, _ = walked(weight_decay)
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))


def test_state_is_that_of_torch():
    theirs = parameters()
    optimizer = torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1, fused=True)
    give_gradients(theirs, 0)
    optimizer.step()
    expected = optimizer.state_dict()["state"]
    found = walked(steps=1)[1].state()
    assert found.keys() == expected.keys()
    for number, moments in expected.items():
        assert found[number].keys() == moments.keys()
        assert all(torch.equal(found[number][name], moments[name]) for name in moments)


def test_a_step_that_is_left_out_changes_nothing():
    mine, optimizer = walked()
    before = [each.detach().clone() for each in (*mine, *optimizer._steps, *optimizer._means)]
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    after = (*mine, *optimizer._steps, *optimizer._means)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_state_goes_on_to_the_same_bit():
    mine, optimizer = walked(steps=3)
    others, other = walked(steps=1)
    other.load_state(optimizer.state())
    with torch.no_grad():
        for target, source in zip(others, mine, strict=True):
            target.copy_(source)
    for tensors, each in ((mine, optimizer), (others, other)):
        give_gradients(tensors, 7)
        each.rate = 0.02
        each.step()
    assert all(torch.equal(one, two) for one, two in zip(mine, others, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(1), r"moments of parameter 1 are \{\}, expected \{'step': \(\)"),
        (lambda state: state.update({3: state[2]}), r"parameter 3 are \{'step'.*expected \{\}"),
        (lambda state: state[0].pop("step"), r"parameter 0 are \{'exp_avg': \(3, 2, 3, 3\)"),
        (lambda state: state[1].update(exp_avg=torch.ones(4)), r"'exp_avg': \(4,\)"),
    ],
    ids=["missing", "too many", "no step", "other shape"],
)
def test_state_of_another_network_is_refused(change, message):
    _, optimizer = walked()
    state = optimizer.state()
    change(state)
    with pytest.raises(ValueError, match=message):
        AdamW(parameters(), 0.1).load_state(state)


def test_gradients_are_forgotten():
    mine, optimizer = walked()
    optimizer.zero_grad()
    assert all(each.grad is None for each in mine)


def test_scaler_takes_it_for_an_optimiser():
    mine = parameters()
    optimizer = AdamW(mine, 0.0)
    optimizer.rate = 0.01
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(sum((each**2).sum() for each in mine)).backward()
    scaler.unscale_(optimizer)
    assert torch.equal(mine[1].grad, 2 * mine[1].detach())
    scaler.step(optimizer)
    assert [float(kept["step"]) for kept in optimizer.state().values()] == [1.0] * len(SHAPES)


def test_a_step_of_the_trainer_leaves_torchs_compiler_alone():
    code = """
import sys, torch
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.training.step import Trainer
config = TrainConfig(model=ModelConfig(width=2, depth=2, norm="batch"), precision="fp32")
trainer = Trainer(config, torch.device("cpu"))
trainer.step(torch.randn(2, 4, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8), 0, 0.0)
trainer.load_state(trainer.state())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
