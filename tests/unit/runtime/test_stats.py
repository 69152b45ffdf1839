"""Figures out of control groups of either version, laid out as files."""

from pathlib import Path

import pytest

from hostkit.cgroup import Hierarchies
from runtime.driver import Stats
from runtime.stats import read

GROUP = "/swarm/x"
FILES_V1 = {
    "cpuacct/swarm/x/cpuacct.usage": "123456\n",
    "memory/swarm/x/memory.usage_in_bytes": "5000\n",
    "memory/swarm/x/memory.stat": "cache 9\ntotal_inactive_file 1000\n",
    "pids/swarm/x/pids.current": "3\n",
}
FILES_V2 = {
    "swarm/x/cpu.stat": "usage_usec 123\nuser_usec 100\n",
    "swarm/x/memory.current": "5000\n",
    "swarm/x/memory.stat": "anon 1\ninactive_file 1000\n",
    "swarm/x/memory.max": "max\n",
    "swarm/x/pids.current": "3\n",
}


def lay_out(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(("limit", "expected"), [(2**63 - 4096, 0), (8000, 8000)])
def test_version_1(tmp_path: Path, limit: int, expected: int) -> None:
    lay_out(tmp_path, FILES_V1)
    with (tmp_path / "memory/swarm/x/memory.stat").open("a") as stat:
        stat.write(f"hierarchical_memory_limit {limit}\n")
    hierarchies = Hierarchies(1, {name: tmp_path / name for name in ("cpuacct", "memory", "pids")})
    assert read(hierarchies, GROUP) == Stats(123456, 4000, expected, 3)


def test_version_2(tmp_path: Path) -> None:
    lay_out(tmp_path, FILES_V2)
    hierarchies = Hierarchies(2, dict.fromkeys(("cpu", "memory", "pids"), tmp_path))
    assert read(hierarchies, GROUP) == Stats(123000, 4000, 0, 3)
    (tmp_path / "swarm/x/memory.max").write_text("8000\n")
    assert read(hierarchies, GROUP).memory_limit_bytes == 8000


def test_what_is_not_accounted_for_is_zero(tmp_path: Path) -> None:
    assert read(Hierarchies(1, {"memory": tmp_path}), GROUP) == Stats(0, 0, 0, 0)
