"""Gathers the HostFacts from /proc and the kernel. Reads only."""

import os
import resource
import shutil
from pathlib import Path

from hostkit import cgroup
from runtime import capabilities
from runtime.host_facts import UNLIMITED, HostFacts

_LIMITED = ("memory", "cpu", "pids")


def gather(cgroup_parent: str, hierarchies: cgroup.Hierarchies) -> HostFacts:
    """The facts of this host and this process, as they are now."""
    held = capabilities.from_mask(_bounding_mask(Path("/proc/self/status").read_text()))
    return HostFacts(
        machine=os.uname().machine,
        capabilities=held,
        hard_limits=_hard_limits("CAP_SYS_RESOURCE" in held),
        cgroup_version=hierarchies.version,
        controllers=frozenset(hierarchies.controllers),
        swap_accounting=_has_swap_accounting(hierarchies),
        oom_score_adj=int(Path("/proc/self/oom_score_adj").read_text()),
        cgroup_parent=cgroup_parent,
        init=_init(),
    )


def _init() -> Path | None:
    found = shutil.which("tini-static")
    return None if found is None else Path(found)


def missing_controllers(facts: HostFacts) -> tuple[str, ...]:
    """Which of the controllers behind our limits this host lacks; swap: the accounting of it."""
    missing = tuple(name for name in _LIMITED if name not in facts.controllers)
    return missing if facts.swap_accounting else (*missing, "swap")


def _bounding_mask(status: str) -> int:
    line = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return int(line.split()[1], 16)


def _hard_limits(may_raise: bool) -> dict[str, int]:
    """The ceiling of each limit; even root opens no more files than fs.nr_open allows."""
    found = {}
    for name in (name for name in dir(resource) if name.startswith("RLIMIT_")):
        _, hard = resource.getrlimit(getattr(resource, name))
        found[name] = UNLIMITED if may_raise or hard == resource.RLIM_INFINITY else hard
    found.pop("RLIMIT_OFILE", None)  # an old name of NOFILE
    if may_raise:
        found["RLIMIT_NOFILE"] = int(Path("/proc/sys/fs/nr_open").read_text())
    return found


def _has_swap_accounting(hierarchies: cgroup.Hierarchies) -> bool:
    root = hierarchies.controllers.get("memory")
    if root is None:
        return False
    if hierarchies.version == 1:
        return (root / "memory.memsw.limit_in_bytes").exists()
    # The root group of version 2 has no limits; any other group shows what the kernel keeps.
    return any((child / "memory.swap.max").exists() for child in root.iterdir() if child.is_dir())
