"""Cores and memory that control groups allow, on trees of files as the kernel lays them."""

import os

import pytest

from bratsprep.system import limits
from bratsprep.system.threads import cores


def tree(root, groups, files):
    """A file system with /proc/self/cgroup and files below /sys/fs/cgroup."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "cores", "memory"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n", "memory.max": "1048576\n"}, 1.5, 1 << 20),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, None, None),
        (
            "0::/a/b\n",
            {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000", "a/memory.max": "5000"},
            2.0,
            5000,
        ),
        (
            "4:memory:/job\n1:cpu,cpuacct:/job\n2:pids:/job\n",
            {
                "cpu/job/cpu.cfs_quota_us": "50000",
                "cpu/job/cpu.cfs_period_us": "100000",
                "memory/job/memory.limit_in_bytes": "7000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            0.5,
            7000,
        ),
        ("1:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1"}, None, None),
        ("0::/../../a\n", {"a/memory.max": "8000"}, None, 8000),
    ],
    ids=["version 2", "no limit", "of a parent", "version 1", "version 1, no quota", "outside"],
)
def test_limits_of_control_groups(tmp_path, groups, files, cores, memory):
    root = tree(tmp_path, groups, files)
    assert limits.core_quota(root) == cores
    assert limits.memory_limit(root) == memory


def test_default_threads_keep_to_the_quota(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(limits, "core_quota", lambda _: 1.5)
    assert cores() == 2


def test_without_control_groups_nothing_is_limited(tmp_path):
    assert limits.core_quota(tmp_path) is None
    assert limits.memory_limit(tmp_path) is None
    assert limits.usable_cores(tmp_path) == limits.scheduled_cores()


def test_usable_cores_are_whole_and_at_least_one(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    root = tree(tmp_path, "0::/\n", {"cpu.max": "250000 100000"})
    assert limits.usable_cores(root) == 3
    (root / "sys" / "fs" / "cgroup" / "cpu.max").write_text("10000 100000")
    assert limits.usable_cores(root) == 1


def test_cores_are_those_of_the_machine_where_the_scheduler_is_silent(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert limits.scheduled_cores() == 1


def test_memory_of_the_machine_is_unknown_where_the_system_is_silent(monkeypatch):
    assert limits.machine_memory() > 1 << 28
    monkeypatch.delattr(os, "sysconf")
    assert limits.machine_memory() is None
