"""Hierarchies out of mount tables, and the groups of this very host."""

import os
import subprocess
from pathlib import Path

import pytest

from hostkit import cgroup

V1 = """\
proc /proc proc rw 0 0
cgroup /cg/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /cg/memory cgroup rw,relatime,memory 0 0
cgroup /cg/systemd cgroup rw,relatime,name=systemd 0 0
"""
V2 = "cgroup2 /cg cgroup2 rw,nsdelegate 0 0\n"
UNIFIED = "cgroup2 /cg/unified cgroup2 rw 0 0\n"


def test_version_1() -> None:
    found = cgroup.parse(V1, {})
    assert found.version == 1
    assert found.controllers["cpu"] == found.controllers["cpuacct"] == Path("/cg/cpu,cpuacct")
    assert found.controllers["name=systemd"] == Path("/cg/systemd")
    assert found.unified is None


def test_hybrid_counts_as_version_1() -> None:
    found = cgroup.parse(V1 + UNIFIED, {Path("/cg/unified"): "hugetlb\n"})
    assert found.version == 1
    assert found.unified == Path("/cg/unified")
    assert found.roots[-1] == Path("/cg/unified")


@pytest.mark.parametrize("beside", ["", "cgroup /cg/systemd cgroup rw,name=systemd 0 0\n"])
def test_version_2_even_beside_a_hierarchy_without_controllers(beside: str) -> None:
    found = cgroup.parse(beside + V2, {Path("/cg"): "cpu memory pids\n"})
    assert found.version == 2
    assert dict(found.controllers) == dict.fromkeys(("cpu", "memory", "pids"), Path("/cg"))
    assert found.unified == Path("/cg")
    assert found.roots == [Path("/cg")]


def test_version_2_kills_a_group_as_one(tmp_path: Path) -> None:
    hierarchies = cgroup.parse(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", {tmp_path: "pids\n"})
    (tmp_path / "group").mkdir()
    order = tmp_path / "group/cgroup.kill"
    order.touch()
    assert cgroup.kill(hierarchies, "/group", 0)
    assert order.read_text() == "1"


def test_no_hierarchy_at_all() -> None:
    assert cgroup.parse("proc /proc proc rw 0 0\n", {}) == cgroup.Hierarchies(1, {})


def test_file_of_a_group() -> None:
    found = cgroup.parse(V1, {})
    assert found.file("memory", "/a/b", "memory.stat") == Path("/cg/memory/a/b/memory.stat")
    assert found.file("pids", "/a/b", "pids.max") is None


def test_numbers_and_tables(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("usage_usec 17\nuser_usec 4\nname text\n")
    assert cgroup.read_table(file) == {"usage_usec": 17, "user_usec": 4}
    file.write_text("12\n")
    assert cgroup.read_number(file) == 12
    file.write_text("max\n")
    assert cgroup.read_number(file) == 0
    assert cgroup.read_number(tmp_path / "none") == cgroup.read_number(None) == 0
    assert cgroup.read_table(tmp_path / "none") == cgroup.read_table(None) == {}


@pytest.mark.parametrize("group", ["/", "", "//"])
def test_the_root_group_is_never_removed(group: str) -> None:
    with pytest.raises(ValueError, match="root group"):
        cgroup.remove(cgroup.Hierarchies(1, {}), group)
    with pytest.raises(ValueError, match="root group"):
        cgroup.remove_empty(cgroup.Hierarchies(1, {}), group)


@pytest.mark.root
def test_a_process_joins_a_group_and_the_group_goes() -> None:
    hierarchies = cgroup.detect()
    group = f"/test-cgroup-{os.getpid()}"
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        directories = cgroup.make(hierarchies, group)
        cgroup.join(directories, sleeper.pid)
        assert cgroup.processes(hierarchies, group) == {sleeper.pid}
        assert not cgroup.remove(hierarchies, group)
        cgroup.remove_empty(hierarchies, group)
        assert all(directory.exists() for directory in directories)
    finally:
        sleeper.kill()
        sleeper.wait()
        gone = cgroup.remove(hierarchies, group)
    assert gone
    assert not any(directory.exists() for directory in directories)
    assert cgroup.processes(hierarchies, group) == set()
    assert cgroup.remove(hierarchies, group)  # again
