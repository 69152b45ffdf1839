"""What the making of a bundle must know about this host. Only data; `host` gathers it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = -1


@dataclass(frozen=True)
class HostFacts:
    """Everything by which two hosts may need different bundles for the same request."""

    machine: str  # as uname -m: x86_64, aarch64
    capabilities: frozenset[str]  # of the daemon's bounding set, CAP_ names
    hard_limits: Mapping[str, int]  # RLIMIT_ name -> what may be granted at most; UNLIMITED
    cgroup_version: int
    controllers: frozenset[str]
    swap_accounting: bool
    oom_score_adj: int  # the daemon's own: only CAP_SYS_RESOURCE may go below
    cgroup_parent: str  # absolute group, "/swarm"
    init: Path | None = None  # a static program that reaps and passes signals on

    @property
    def may_raise(self) -> bool:
        """Whether limits above the daemon's own can be granted."""
        return "CAP_SYS_RESOURCE" in self.capabilities
