"""What a host of the lab uses: the CPU of its control group, the memory of its processes.

Reads both versions of control groups. A CPU reading covers every process that ever was in the
group, those that ended included.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from hostkit import cgroup
from machine.drivers.lab import cgroups
from machine.drivers.lab.host import LabHost

_MIB_IN_KIB = 1024


def cpu_seconds(host: LabHost) -> float:
    """CPU used by all processes of the host since its start."""
    found = cgroup.detect()
    group = host.paths.cgroup
    if found.version == 1:
        return cgroup.read_number(found.file("cpuacct", group, "cpuacct.usage")) / 1e9
    assert found.unified is not None, "version 2 has one mount"
    table = cgroup.read_table(found.unified / group.lstrip("/") / "cpu.stat")
    return table["usage_usec"] / 1e6


def monitors(host: LabHost) -> set[int]:
    """Pids of the host's monitors."""
    return {pid for pid in _members(host) if _text(pid, "comm").strip() == "conmon"}


def product(host: LabHost) -> set[int]:
    """Pids of all that runs on the host but its PID 1, which stands in for a real host's init."""
    return _members(host) - {host.pid() or 0}


def memory(pids: Iterable[int]) -> tuple[float, float]:
    """RSS and PSS of processes together, in MiB."""
    rss = pss = 0
    for pid in pids:
        for line in _text(pid, "smaps_rollup").splitlines():
            name, _, value = line.partition(":")
            if name == "Rss":
                rss += int(value.split()[0])
            elif name == "Pss":
                pss += int(value.split()[0])
    return rss / _MIB_IN_KIB, pss / _MIB_IN_KIB


def _members(host: LabHost) -> set[int]:
    return cgroups.processes(cgroup.detect(), host.paths.cgroup)


def _text(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):  # ended meanwhile
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    return ""
