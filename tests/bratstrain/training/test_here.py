"""Which device a rank is given."""

import pytest
import torch

from bratstrain.config import Session
from bratstrain.ranks.group import ALONE
from bratstrain.ranks.place import Place
from bratstrain.training.here import device_name, seated
from tests.helpers.ranks import place_of_one

THIRD = Place(11, 16, 3, 8, "env://", "torchrun")


@pytest.mark.parametrize(
    ("asked", "n_gpus", "name"),
    [
        ("auto", 8, "cuda:3"),
        ("cuda", 8, "cuda:3"),
        ("auto", 1, "cuda:0"),  # srun --gpus-per-task=1
        ("auto", 0, "cpu"),
        ("cpu", 8, "cpu"),
        ("cuda:5", 8, "cuda:5"),
    ],
)
def test_each_rank_of_a_machine_has_a_gpu_of_its_own(asked, n_gpus, name):
    assert device_name(asked, THIRD, n_gpus) == name


def test_ranks_are_not_on_a_gpu_of_apple():
    with pytest.raises(ValueError, match="mps fits a run in one process; take cpu"):
        device_name("mps", THIRD, 0)


def test_a_process_by_itself_is_alone():
    with seated(Session(device="cpu"), None) as here:
        assert here.group is ALONE
        assert here.device == torch.device("cpu")


def test_the_only_rank_is_alone(tmp_path):
    with seated(Session(device="cpu"), place_of_one(tmp_path)) as here:
        assert here.group is ALONE


def test_gpus_of_a_rank_are_refused():
    with (
        pytest.raises(ValueError, match="gpus 2 has no effect under torchrun, which has started"),
        seated(Session(gpus="2"), THIRD),
    ):
        pass
