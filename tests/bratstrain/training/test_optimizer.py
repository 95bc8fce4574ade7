"""The optimiser: its steps, and its state by way of a checkpoint."""

import pytest
import torch

from bratstrain.training.optimizer import build_optimizer, load_moments, moments

SHAPES = [(3, 2, 3, 3), (3,), ()]


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def give_gradients(tensors, seed):
    generator = torch.Generator().manual_seed(seed)
    for tensor in tensors:
        tensor.grad = torch.randn(tensor.shape, generator=generator)


def take_step(tensors, optimizer, step):
    give_gradients(tensors, step)
    optimizer.param_groups[0]["lr"] = 0.01 * (step + 1)
    optimizer.step()


def walked(weight_decay=0.1, steps=3):
    """Parameters and optimiser after some steps."""
    mine = parameters()
    optimizer = build_optimizer(mine, weight_decay)
    for step in range(steps):
        take_step(mine, optimizer, step)
    return mine, optimizer


def plain_adamw(weight_decay, steps):
    """Parameters after the steps of Loshchilov and Hutter (2019), algorithm 2, in float64."""
    values = [tensor.detach().double() for tensor in parameters()]
    means, squares = ([torch.zeros_like(value) for value in values] for _ in range(2))
    for step in range(steps):
        tensors = [torch.zeros(shape) for shape in SHAPES]
        give_gradients(tensors, step)
        rate = 0.01 * (step + 1)
        for k, tensor in enumerate(tensors):
            gradient = tensor.grad.double()
            means[k] = 0.9 * means[k] + 0.1 * gradient
            squares[k] = 0.999 * squares[k] + 0.001 * gradient**2
            mean = means[k] / (1 - 0.9 ** (step + 1))
            square = squares[k] / (1 - 0.999 ** (step + 1))
            values[k] = values[k] * (1 - rate * weight_decay) - rate * mean / (square.sqrt() + 1e-8)
    return values


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_the_paper_at_changing_rates(weight_decay):
    mine, _ = walked(weight_decay, steps=4)
    for tensor, wanted in zip(mine, plain_adamw(weight_decay, steps=4), strict=True):
        torch.testing.assert_close(tensor.detach().double(), wanted, rtol=1e-5, atol=1e-6)


def test_state_made_at_the_start_is_the_one_that_torch_makes():
    theirs = parameters()
    optimizer = torch.optim.AdamW(theirs, lr=0.0, weight_decay=0.1, fused=True)
    take_step(theirs, optimizer, 0)
    expected, built = moments(optimizer), moments(build_optimizer(parameters(), 0.1))
    assert built.keys() == expected.keys()
    for number, parts in expected.items():
        for name, part in parts.items():
            mine = built[number][name]
            assert (mine.shape, mine.dtype, mine.stride()) == (
                part.shape,
                part.dtype,
                part.stride(),
            )
            assert not mine.any()
            assert not mine.requires_grad
    take_step(mine := parameters(), build_optimizer(mine, 0.1), 0)
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))


def test_a_step_that_is_left_out_changes_nothing():
    mine, optimizer = walked()
    state = [part for parts in moments(optimizer).values() for part in parts.values()]
    before = [tensor.detach().clone() for tensor in (*mine, *state)]
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(before, (*mine, *state), strict=True))


def test_loaded_moments_continue_to_the_same_bit():
    mine, optimizer = walked(steps=3)
    others, other = walked(steps=1)
    load_moments(other, moments(optimizer))
    with torch.no_grad():
        for target, source in zip(others, mine, strict=True):
            target.copy_(source)
    for tensors, each in ((mine, optimizer), (others, other)):
        take_step(tensors, each, 7)
    assert all(torch.equal(one, two) for one, two in zip(mine, others, strict=True))


def test_loaded_moments_are_copies():
    _, optimizer = walked()
    _, other = walked(steps=1)
    load_moments(other, moments(optimizer))
    moments(optimizer)[0]["exp_avg"].zero_()
    assert moments(other)[0]["exp_avg"].any()


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
    state = moments(walked()[1])
    change(state)
    with pytest.raises(ValueError, match=message):
        load_moments(build_optimizer(parameters(), 0.1), state)


def test_scaler_steps_and_leaves_out_what_is_not_finite():
    mine = parameters()
    optimizer = build_optimizer(mine, 0.0)
    optimizer.param_groups[0]["lr"] = 0.01
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor, steps in ((1.0, 1.0), (float("inf"), 1.0)):
        optimizer.zero_grad()
        scaler.scale(factor * sum((tensor**2).sum() for tensor in mine)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert [float(kept["step"]) for kept in moments(optimizer).values()] == [steps] * 3
