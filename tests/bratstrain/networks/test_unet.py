"""Networks: shapes, counts, gradients, and that they can learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bratstrain.config import MODELS, NORMS, ModelConfig
from bratstrain.networks.blocks import (
    AttentionGate,
    ConvBlock,
    InstanceNorm,
    PlainSkip,
    ResidualBlock,
    he_init_,
    pad_to_cells,
)
from bratstrain.networks.build import build_model
from bratstrain.networks.counts import count_macs, count_parameters

each_kind = pytest.mark.parametrize("kind", MODELS)
each_norm = pytest.mark.parametrize("norm", NORMS)
SMALL = ModelConfig(kind="unet", width=4, depth=3)


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@each_kind
@pytest.mark.parametrize("size", [(16, 16), (17, 23), (1, 1), (5, 40)])
def test_network_gives_logits_of_the_input_size(kind, size):
    network = build_model(replace(SMALL, kind=kind)).eval()
    assert network(noise(2, 4, *size)).shape == (2, 4, *size)


@each_kind
def test_network_takes_modalities_classes_width_and_depth(kind):
    config = ModelConfig(kind=kind, modalities=1, classes=3, width=2, depth=2)
    network = build_model(config)
    assert network(noise(2, 1, 6, 8)).shape == (2, 3, 6, 8)
    assert network.encoders[-1](torch.relu(noise(2, 2, 6, 8))).shape[1] == 4


def test_network_pads_only_below_and_to_the_right():
    network = build_model(replace(SMALL, norm="batch")).eval()
    image = noise(1, 4, 13, 10)
    padded = torch.zeros(1, 4, 16, 12)
    padded[..., :13, :10] = image
    torch.testing.assert_close(network(image), network(padded)[..., :13, :10])


@each_kind
def test_deep_supervision_gives_halves_with_the_odd_pixel_kept(kind):
    network = build_model(ModelConfig(kind=kind, width=2, depth=4, deep_supervision=True))
    shapes = [level.shape[2:] for level in network(noise(2, 4, 37, 50))]
    assert shapes == [(37, 50), (19, 25), (10, 13)]


def test_deep_supervision_gives_one_tensor_in_evaluation():
    network = build_model(replace(SMALL, norm="instance", deep_supervision=True))
    image = noise(2, 4, 13, 12)
    finest = network(image)[0]
    torch.testing.assert_close(network.eval()(image), finest)


def test_network_without_deep_supervision_gives_one_tensor_in_training():
    assert isinstance(build_model(SMALL)(noise(2, 4, 12, 12)), torch.Tensor)


@each_kind
@each_norm
def test_gradient_reaches_every_parameter(kind, norm):
    network = build_model(replace(SMALL, kind=kind, norm=norm, dropout=0.25, deep_supervision=True))
    sum(level.square().mean() for level in network(noise(2, 4, 19, 24))).backward()
    missed = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert missed == []


@pytest.mark.slow
@each_kind
def test_network_learns_one_batch_by_heart(kind):
    network = build_model(ModelConfig(kind=kind, width=8, depth=4), seed=1)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    far = ((rows - 30) ** 2 + (columns - 36) ** 2).sqrt()
    label = torch.stack([(far < 20).long() + (far < 12) + (far < 6), (far < 9) * 3])
    image = noise(2, 4, 64, 64) + label[:, None]
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(image), label)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    with torch.no_grad():
        right = (network(image).argmax(dim=1) == label).float().mean().item()
    assert losses[-1] < losses[0] / 10
    assert right > 0.99


@each_kind
@each_norm
def test_empty_slice_stays_finite_forward_and_back(kind, norm):
    network = build_model(replace(SMALL, kind=kind, norm=norm))
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):  # as after some training
            nn.init.constant_(parameter, 0.1)
    image = torch.cat([torch.zeros(1, 4, 16, 16), noise(1, 4, 16, 16)])
    logits = network(image)
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@each_kind
@each_norm
@pytest.mark.parametrize("size", [(1, 1), (8, 8)])
def test_batch_of_one_works_in_training(kind, norm, size):
    network = build_model(replace(SMALL, kind=kind, norm=norm))
    assert network(noise(1, 4, *size)).isfinite().all()


@each_kind
def test_build_draws_the_same_weights_from_the_same_seed(kind):
    first, again, other = (
        torch.nn.utils.parameters_to_vector(
            build_model(replace(SMALL, kind=kind), seed=seed).parameters()
        )
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_build_leaves_the_global_generator_as_it_was():
    before = torch.get_rng_state()
    build_model(SMALL)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_acts_in_training_alone():
    block = ResidualBlock(4, 4, nn.BatchNorm2d, dropout=0.5)
    image = noise(2, 4, 6, 6)
    block.eval()
    assert torch.equal(block(image), block(image))
    torch.manual_seed(0)
    block.train()
    assert not torch.equal(block(image), block(image))


def test_residual_block_adds_its_input():
    block = ResidualBlock(3, 3, nn.BatchNorm2d, dropout=0.0)
    nn.init.zeros_(block.body[-1].weight)
    image = noise(2, 3, 4, 4)
    assert torch.equal(block(image), image.relu())


@pytest.mark.parametrize("here", [3, 5])
def test_residual_block_leaves_its_input_as_it_is(here):
    image = noise(2, 3, 4, 4)
    before = image.clone()
    ResidualBlock(3, here, nn.BatchNorm2d, dropout=0.5)(image)
    assert torch.equal(image, before)


def test_conv_block_by_hand():
    block = ConvBlock(1, 1, lambda channels: nn.Identity())
    for convolution in (block[0], block[3]):
        nn.init.ones_(convolution.weight)
    image = torch.zeros(1, 1, 3, 3)
    image[..., 1, 1] = 1
    counts = [[4, 6, 4], [6, 9, 6], [4, 6, 4]]  # neighbours of each of nine ones
    assert block(image)[0, 0].tolist() == counts


def test_gate_weighs_by_hand():
    gate = AttentionGate(2, 4)
    for convolution in (gate.key, gate.query, gate.weight):
        nn.init.zeros_(convolution.weight)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    nn.init.constant_(gate.weight.bias, float(np.log(3)))  # its sigmoid is 3 / 4
    skip = noise(1, 2, 4, 4)
    torch.testing.assert_close(gate(skip, noise(1, 4, 2, 2)), 0.75 * skip)


def test_plain_skip_passes_all():
    skip = noise(1, 2, 4, 4)
    assert PlainSkip()(skip, noise(1, 4, 2, 2)) is skip


@pytest.mark.parametrize(
    ("size", "padded"),
    [((8, 8), (8, 8)), ((9, 7), (12, 8)), ((1, 4), (8, 8)), ((12, 13), (12, 16))],
)
def test_padding_fills_at_least_two_cells(size, padded):
    image = torch.ones(1, 1, *size)
    out = pad_to_cells(image, (4, 4))
    assert out.shape[2:] == padded
    assert out.sum() == size[0] * size[1]


def test_he_init_keeps_the_scale_of_a_signal():
    torch.manual_seed(0)
    layers = (nn.Conv2d(64, 64, 3, padding=1), nn.ConvTranspose2d(64, 64, 2, stride=2))
    for layer in layers:
        he_init_(layer)
        with torch.no_grad():
            power = layer(noise(4, 64, 32, 32).relu())[..., 4:-4, 4:-4].square().mean()
        # Half of the inputs are 0 and the weights have twice the variance: 1 in the mean.
        assert power == pytest.approx(1, rel=0.1)
        assert not layer.bias.any()


def test_nothing_is_drawn_where_tensors_hold_no_values(monkeypatch):
    for name in ("kaiming_normal_", "normal_"):
        monkeypatch.setattr(nn.init, name, None)
    with torch.device("meta"):
        network = build_model(ModelConfig(kind="residual", width=2, depth=2))
    assert all(weight.is_meta for weight in network.parameters())


def test_parameters_by_hand():
    # Level of width 2: 3x3 convs 1-2 and 2-2, decoder 4-2 and 2-2; bottleneck 2-4 and 4-4.
    convolutions = 9 * (1 * 2 + 2 * 2 + 4 * 2 + 2 * 2 + 2 * 4 + 4 * 4)
    norms = 2 * (2 + 2 + 2 + 2 + 4 + 4)
    up, head = 4 * 4 * 2 + 2, 2 * 3 + 3
    config = ModelConfig(kind="unet", modalities=1, classes=3, width=2, depth=2)
    assert count_parameters(build_model(config)) == convolutions + norms + up + head


def test_macs_by_hand():
    # 4 x 6 pixels at the top, 2 x 3 below; a transposed convolution has 4 taps a pixel below.
    top = 24 * (9 * (1 * 2 + 2 * 2 + 4 * 2 + 2 * 2) + 2 * 3)
    below = 6 * (9 * (2 * 4 + 4 * 4) + 4 * 4 * 2)
    config = ModelConfig(kind="unet", modalities=1, classes=3, width=2, depth=2)
    assert count_macs(build_model(config), 4, 6) == top + below


def test_counting_macs_leaves_the_network_as_it_was():
    network = build_model(SMALL)
    count_macs(network, 16, 16)
    assert network.training
    assert next(network.parameters()).device.type == "cpu"


def test_default_unet_has_31_million_parameters_and_23_gmac():
    network = build_model(ModelConfig(kind="unet"))
    assert count_parameters(network) == pytest.approx(31e6, rel=0.01)
    assert count_macs(network, 192, 160) == pytest.approx(23e9, rel=0.03)


def normed(layer, image):
    """Output of a layer, and the gradients of everything, for a loss that weighs pixels."""
    image = image.clone(memory_format=torch.channels_last).requires_grad_()
    out = layer(image)
    (out * noise(*out.shape)).sum().backward()
    return out.detach(), image.grad, *(each.grad for each in layer.parameters())


def test_instance_norm_is_torchs_forward_and_back():
    ours, torchs = InstanceNorm(3, affine=True), nn.InstanceNorm2d(3, affine=True)
    for layer in (ours, torchs):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            layer.bias.copy_(torch.tensor([0.1, 0.0, -3.0]))
    image = 3 * noise(4, 3, 5, 6) + 100
    for mine, other in zip(normed(ours, image), normed(torchs, image), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_instance_norm_keeps_channels_last():
    image = noise(2, 8, 4, 4).to(memory_format=torch.channels_last)
    out = InstanceNorm(8, affine=True)(image)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_instance_norm_on_another_device_is_torchs():
    with torch.device("meta"):
        assert InstanceNorm(3, affine=True)(torch.empty(2, 3, 4, 4)).shape == (2, 3, 4, 4)
