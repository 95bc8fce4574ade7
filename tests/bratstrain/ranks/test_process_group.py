"""What ranks add up and agree on."""

import numpy as np
import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain.ranks.place import Place
from bratstrain.ranks.process_group import LostRankError, joined, loss_explained
from tests.helpers.ranks import found_by_ranks, place_of_one

CPU = torch.device("cpu")
CODE = """
import numpy as np
part = torch.tensor([1.0, 2.0]) * (rank + 1)
part.requires_grad_()
more = torch.full((2, 2), rank, dtype=torch.int64)
total, counts = group.total(part, more)
# Each rank's result is weighed by its own number: gradients come from both.
(total * torch.tensor([10.0, 100.0]) * (rank + 1)).sum().backward()
found |= {"total": total.detach(), "counts": counts.detach(), "gradient": part.grad}

weight, still = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
weight.grad = torch.arange(3.0) * (rank + 1)
found["loss"] = group.average_([weight, still], torch.tensor(4.0 + rank))
found |= {"mean": weight.grad, "none": still.grad}

found["added"] = group.add(np.array([[1, 2], [3, 4]]) * (rank + 1) * 10**17)
found["highest"] = group.highest(rank, -rank, 2.5)
found["decided"] = group.decide(lambda: {"by": rank})
order = []
found["made"] = group.in_turn(lambda: "begun", lambda: "read")

def fail():
    raise ValueError("batch 5 is odd")

for name, call in (("echo", lambda: group.decide(fail)),
                   ("turn", lambda: group.in_turn(fail, lambda: "never")),
                   ("same", lambda: group.check_same("weights", lambda: b"x" * rank))):
    try:
        call()
    except Exception as error:
        found[name] = type(error).__name__, str(error)
group.check_same("settings", lambda: b"equal")
import time
begin = time.perf_counter()
time.sleep(0.5 if rank == 0 else 0)
group.wait()
found["waited_s"] = time.perf_counter() - begin
found["size"] = group.size, group.rank, group.n_here
"""


@pytest.fixture(scope="module")
def found(programs, tmp_path_factory):
    return found_by_ranks(programs, tmp_path_factory.mktemp("two") / "ranks", CODE)


@pytest.mark.slow
def test_sums_are_over_the_ranks_and_keep_their_shapes(found):
    for rank in found:
        assert rank["total"].tolist() == [3, 6]
        assert rank["counts"].tolist() == [[1, 1], [1, 1]]


@pytest.mark.slow
def test_gradients_of_a_sum_come_from_every_rank(found):
    assert [rank["gradient"].tolist() for rank in found] == [[30, 300]] * 2


@pytest.mark.slow
def test_gradients_and_losses_become_their_mean(found):
    for rank in found:
        assert rank["mean"].tolist() == [0, 1.5, 3]
        assert rank["none"] is None
        assert float(rank["loss"]) == 4.5


@pytest.mark.slow
def test_counts_are_added_without_rounding(found):
    for rank in found:
        assert rank["added"].tolist() == [[3 * 10**17, 6 * 10**17], [9 * 10**17, 12 * 10**17]]
        assert rank["added"].dtype == np.int64


@pytest.mark.slow
def test_what_one_rank_decides_all_do(found):
    assert [rank["highest"] for rank in found] == [(1, 0, 2.5)] * 2
    assert [rank["decided"] for rank in found] == [{"by": 0}] * 2
    assert [rank["made"] for rank in found] == ["begun", "read"]
    assert [rank["size"] for rank in found] == [(2, 0, 2), (2, 1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["echo", "turn"])
def test_an_error_of_the_first_rank_is_one_of_all(found, name):
    assert [rank[name] for rank in found] == [
        ("ValueError", "batch 5 is odd"), ("Echo", "batch 5 is odd"),
    ]  # fmt: skip


@pytest.mark.slow
def test_ranks_wait_for_the_last(found):
    assert found[1]["waited_s"] > 0.3


@pytest.mark.slow
def test_ranks_that_hold_different_things_are_refused(found):
    for number, rank in enumerate(found):
        assert rank["same"][0] == "BratsError"
        assert rank["same"][1].startswith(f"rank {number} of 2: weights differ between the ranks")


def test_a_group_of_one_sends_to_itself(tmp_path):
    with joined(place_of_one(tmp_path), CPU) as group:
        assert (
            group.total(torch.tensor([0.1, 0.7]))[0].tolist() == torch.tensor([0.1, 0.7]).tolist()
        )
        assert group.highest(3.25) == (3.25,)
        assert group.add(np.array([5])).tolist() == [5]


def test_a_group_of_one_decides_by_itself(tmp_path):
    with joined(place_of_one(tmp_path), CPU) as group:
        assert group.decide(lambda: {"a": 1}) == {"a": 1}
        assert group.in_turn(lambda: "first", lambda: "others") == "first"
        group.check_same("weights", lambda: b"same")
        with pytest.raises(ValueError, match="odd"):
            group.decide(lambda: int_of("odd"))


def int_of(text):
    raise ValueError(text)


def test_a_sum_of_one_has_the_gradient_of_its_part(tmp_path):
    with joined(place_of_one(tmp_path), CPU) as group:
        part = torch.tensor([1.0, 2.0], requires_grad=True)
        (total,) = group.total(part)
        (total * torch.tensor([3.0, 4.0])).sum().backward()
        assert part.grad.tolist() == [3, 4]
        assert group.average_([part], torch.tensor(5.0)) == 5
        assert part.grad.tolist() == [3, 4]


def test_a_broken_connection_is_said_with_the_way_on():
    message = r"lost \(Connection closed\); repeat the command"
    with pytest.raises(LostRankError, match=message), loss_explained():
        raise RuntimeError("Connection closed\nby peer")


def test_ranks_that_cannot_meet_are_said(tmp_path):
    nowhere = Place(0, 2, 0, 2, f"nothing://{tmp_path}", "test")
    with pytest.raises(BratsError, match=r"rank 0 of 2: the ranks do not meet at nothing://"):
        joined(nowhere, CPU).__enter__()
