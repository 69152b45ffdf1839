"""What a container uses, from the files of its control group, version 1 or 2."""

from hostkit.cgroup import Hierarchies, read_number, read_table
from runtime.driver import Stats

_UNLIMITED_V1 = 1 << 60  # version 1 says "no limit" as a number near 2**63


def read(hierarchies: Hierarchies, group: str) -> Stats:
    """The figures of one group; zero where the host does not account for it."""
    return (_read_v1 if hierarchies.version == 1 else _read_v2)(hierarchies, group)


def _read_v1(hierarchies: Hierarchies, group: str) -> Stats:
    file = hierarchies.file
    used = read_number(file("memory", group, "memory.usage_in_bytes"))
    table = read_table(file("memory", group, "memory.stat"))
    limit = table.get("hierarchical_memory_limit", 0)
    return Stats(
        cpu_ns=read_number(file("cpuacct", group, "cpuacct.usage")),
        memory_bytes=max(0, used - table.get("total_inactive_file", 0)),
        memory_limit_bytes=limit if limit < _UNLIMITED_V1 else 0,
        pids=read_number(file("pids", group, "pids.current")),
    )


def _read_v2(hierarchies: Hierarchies, group: str) -> Stats:
    file = hierarchies.file
    used = read_number(file("memory", group, "memory.current"))
    table = read_table(file("memory", group, "memory.stat"))
    return Stats(
        cpu_ns=read_table(file("cpu", group, "cpu.stat")).get("usage_usec", 0) * 1000,
        memory_bytes=max(0, used - table.get("inactive_file", 0)),
        memory_limit_bytes=read_number(file("memory", group, "memory.max")),
        pids=read_number(file("pids", group, "pids.current")),
    )
