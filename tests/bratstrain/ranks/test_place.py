"""Which rank a process is, by what torchrun and srun set; and what sets as much and is no rank."""

import pytest

from bratsprep.errors import BratsError
from bratstrain.ranks.place import Place, first_node, place_of, tasks_on

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "gpu01", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_JOB_ID": "1234", "SLURM_STEP_ID": "2", "SLURM_PROCID": "9", "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "12", "SLURM_STEP_NODELIST": "gpu[03-04],big",
    "SLURM_STEP_TASKS_PER_NODE": "8,2(x2)",
}  # fmt: skip


def test_torchrun_names_the_rank():
    assert place_of(TORCHRUN) == Place(3, 4, 1, 2, "env://", "torchrun")


def test_srun_names_the_rank_and_the_first_node_is_where_they_meet():
    assert place_of(SRUN) == Place(9, 12, 1, 2, "tcp://gpu03:16436", "srun")


def test_steps_of_a_job_do_not_meet_at_one_port():
    other = place_of(SRUN | {"SLURM_STEP_ID": "3"})
    assert other.meeting != place_of(SRUN).meeting


def test_a_given_address_decides():
    given = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "5000"}
    assert place_of(SRUN | given).meeting == "tcp://10.0.0.1:5000"


def test_torchrun_inside_of_a_step_decides():
    assert place_of(SRUN | TORCHRUN) == place_of(TORCHRUN)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WORLD_SIZE": "4"},
        TORCHRUN | {"RANK": "0", "WORLD_SIZE": "1"},
        SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        # A batch script: one process, whatever the job may start.
        {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
    ],
    ids=["nothing", "part of it", "torchrun of one", "a task alone", "a batch script"],
)
def test_a_process_by_itself_is_no_rank(environment):
    assert place_of(environment) is None


@pytest.mark.parametrize("missing", ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST"])
def test_what_srun_should_have_set_is_named(missing):
    environment = {name: value for name, value in SRUN.items() if name != missing}
    with pytest.raises(BratsError, match=f"environment: '{missing}' is missing or no whole"):
        place_of(environment)


def test_a_rank_that_is_no_number_is_refused():
    with pytest.raises(BratsError, match="'two' is missing or no whole number"):
        place_of(TORCHRUN | {"RANK": "two"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu03", "gpu03"),
        ("gpu03,gpu04", "gpu03"),
        ("gpu[03-05,9],login", "gpu03"),
        ("gpu[7]", "gpu7"),
        ("gpu[7,9]", "gpu7"),
        ("rack1-n[001-128]", "rack1-n001"),
        ("login,gpu[3-5]", "login"),
        ("cn-2-[10-11].site", "cn-2-10.site"),
    ],
)
def test_first_node_of_a_list(nodes, first):
    assert first_node(nodes) == first


def test_a_list_without_nodes_is_refused():
    with pytest.raises(BratsError, match="SLURM_STEP_NODELIST is missing"):
        place_of(SRUN | {"SLURM_STEP_NODELIST": ""})


def test_tasks_of_a_node():
    assert [tasks_on("8(x2),4", node) for node in range(3)] == [8, 8, 4]
