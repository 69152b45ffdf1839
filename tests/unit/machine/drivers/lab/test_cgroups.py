from pathlib import Path

from hostkit.cgroup import Hierarchies
from machine.drivers.lab import cgroups

HYBRID = Hierarchies(1, {"cpu": Path("/c/cpu"), "freezer": Path("/c/freezer")}, Path("/c/unified"))
PURE = Hierarchies(2, {"cpu": Path("/c"), "memory": Path("/c")}, Path("/c"))


def test_hosts_keep_out_of_the_unified_half_of_a_hybrid_machine() -> None:
    assert cgroups.leaves(HYBRID, "/lab-a-m1") == [
        Path("/c/cpu/lab-a-m1/init"),
        Path("/c/freezer/lab-a-m1/init"),
    ]
    assert cgroups.leaves(PURE, "/lab-a-m1") == [Path("/c/lab-a-m1/init")]


def test_version_2_hands_controllers_down(tmp_path: Path) -> None:
    """On plain files, for want of such a machine: what would be written, and where."""
    pure = Hierarchies(2, {"cpu": tmp_path}, tmp_path)
    host = tmp_path / "lab-a-m1"
    host.mkdir()
    for directory in (tmp_path, host):
        (directory / "cgroup.controllers").write_text("cpu\n")
    cgroups.make(pure, "/lab-a-m1")
    assert (host / "init").is_dir()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
    assert (host / "cgroup.subtree_control").read_text() == "+cpu"


def test_version_2_freezes_by_its_own_file(tmp_path: Path) -> None:
    pure = Hierarchies(2, {"cpu": tmp_path}, tmp_path)
    (tmp_path / "lab-a-m1").mkdir()
    (tmp_path / "lab-a-m1/cgroup.freeze").write_text("1\n")
    assert cgroups.is_frozen(pure, "/lab-a-m1")
    cgroups.thaw(pure, "/lab-a-m1")
    assert not cgroups.is_frozen(pure, "/lab-a-m1")
    assert not cgroups.is_frozen(pure, "/lab-a-m2")
