"""Windows over a volume: they cover it, overlap by half, and give back what every window says."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bratstrain.config import ModelConfig
from bratstrain.networks.build import build_model
from bratstrain.networks.windows import importance, slide, starts, window_starts

WINDOW = (8, 16, 16)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    model = ModelConfig(kind="unet3d", width=2, depth=3, norm="instance", patch="8x16x16")
    return build_model(model).eval()


def probability(network):
    return lambda patches: network(patches).softmax(dim=1)


@given(st.integers(1, 300), st.integers(1, 128))
def test_windows_cover_an_axis_and_overlap_by_half(side, window):
    found = starts(side, window)
    assert found[0] == 0
    assert found[-1] == max(side - window, 0)
    for one, two in pairwise(found):
        assert 0 < two - one <= max(window // 2, 1)


def test_windows_are_spread_evenly():
    assert starts(155, 64) == [0, 30, 61, 91]


def test_windows_of_a_volume_are_those_of_its_axes():
    assert window_starts((8, 24, 16), WINDOW) == [(0, 0, 0), (0, 8, 0)]


@torch.inference_mode()
def test_one_window_is_one_forward_pass(network):
    volume = noise(4, *WINDOW)
    found = slide(probability(network), volume, WINDOW, 1)
    assert torch.equal(found, network(volume[None]).softmax(dim=1)[0])


@torch.inference_mode()
@pytest.mark.parametrize("sides", [(5, 16, 16), (8, 13, 9), (3, 40, 5), (11, 17, 20)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_any_volume_keeps_its_sides_and_gets_probabilities(network, sides, batch_size):
    found = slide(probability(network), noise(4, *sides), WINDOW, batch_size)
    assert found.shape == (4, *sides)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(sides), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_batches_do_not_change_the_result(network):
    volume = noise(4, 12, 24, 16)
    one, two = (slide(probability(network), volume, WINDOW, size) for size in (1, 4))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


def test_pointwise_network_gives_each_voxel_its_own_value():
    volume = noise(1, 19, 21, 33)
    found = slide(lambda patches: patches * 2, volume, WINDOW, 2)
    torch.testing.assert_close(found, volume * 2, rtol=1e-4, atol=1e-5)


def test_small_volume_lies_in_the_middle_of_the_window():
    seen = []
    slide(lambda patches: seen.append(patches) or patches, torch.ones(1, 4, 16, 16), WINDOW, 1)
    assert seen[0][0, 0, :, 0, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


def test_middle_of_a_window_weighs_most():
    weight = importance((3, 5, 5), torch.device("cpu"))
    assert float(weight[1, 2, 2]) == 1
    assert float(weight.min()) > 0
    assert torch.equal(weight, weight.flip(0, 1, 2))
