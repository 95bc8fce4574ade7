import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain import device
from bratstrain.device import choose_device, choose_precision, largest_batch, loader_threads, set_up

CPU, GPU, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")


@pytest.fixture
def gpu(monkeypatch):
    """A machine that says that it has a GPU; memory limits go to a list."""
    limits = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, _: limits.append(share)
    )
    return limits


def test_device_is_the_gpu_where_there_is_one(gpu):
    assert choose_device("auto") == GPU
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == CPU


def test_device_is_the_cpu_otherwise(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU


@pytest.fixture
def apple(monkeypatch):
    """A machine that says that it has Apple's GPU and no other."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_device_is_apples_gpu_where_that_is_the_only_one(apple):
    assert choose_device("auto") == choose_device("mps") == MPS


def test_apples_gpu_gives_way_to_one_with_cuda(apple, gpu):
    assert choose_device("auto") == GPU


def test_missing_gpu_of_apple_is_said(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BratsError, match="no GPU of Apple's here; take --device cpu"):
        choose_device("mps")


def test_precision_on_apples_gpu_is_fp32_and_no_other():
    assert choose_precision("auto", MPS) == choose_precision("fp32", MPS) == "fp32"
    with pytest.raises(ValueError, match="bf16 is not supported on mps; take fp32"):
        choose_precision("bf16", MPS)


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "mps:0", "cpu:1", ""])
def test_unknown_device_is_refused(name):
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda, cuda:N or mps, got"):
        choose_device(name)


def test_missing_gpu_is_said(gpu):
    with pytest.raises(BratsError, match="cuda:2: torch sees 2 GPUs; take --device cpu"):
        choose_device("cuda:2")


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "fp16")])
def test_precision_follows_the_gpu(monkeypatch, has_bf16, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert choose_precision("auto", GPU) == precision
    assert choose_precision("fp32", GPU) == "fp32"


def test_precision_on_a_cpu_is_fp32_unless_asked():
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        choose_precision("fp16", CPU)


def test_gpu_is_fed_by_several_threads(monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 3)
    assert (loader_threads(CPU), loader_threads(GPU)) == (1, 2)


def test_set_up_puts_torch_back():
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.get_num_threads()
    with set_up(CPU):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


def attempts(most):
    def attempt(n_slices):
        if n_slices > most:
            raise torch.OutOfMemoryError

    return attempt


def test_batch_of_a_cpu_is_not_tried():
    assert largest_batch(attempts(0), CPU) == 8


@pytest.mark.parametrize(("most", "batch"), [(1, 1), (11, 8), (16, 16), (10**6, 64)])
def test_batch_is_the_largest_power_of_two_that_fits(gpu, most, batch):
    assert largest_batch(attempts(most), GPU) == batch
    assert gpu == [0.9, 1.0]


def test_gpu_without_room_for_a_slice_is_said(gpu):
    with pytest.raises(BratsError, match="not even one slice fits the GPU"):
        largest_batch(attempts(0), GPU)
