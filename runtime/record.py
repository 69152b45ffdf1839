"""What the driver keeps about a container on disk, so that its successor knows it again.

Written by rename, so that a reader sees the old or the new record, never half of one. A record
that is none, whatever is in it, tells that the container was never finished.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hostkit.pidfd import ProcessId
from runtime.driver import ContainerState, ExitResult, Phase
from runtime.health_check import HealthCheck

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Step = Literal["created", "running", "exited"]
"""A start that was cut off leaves `created`: whether it was carried out, the OCI runtime knows."""


@dataclass(frozen=True)
class Record:
    """One container; on disk from `created` on, when `process` and `monitor` are known."""

    id: str
    name: str
    labels: Mapping[str, str]
    stop_signal: int
    cgroup: str
    boot: str  # of the kernel that the pids belong to
    step: Step = "created"
    process: ProcessId | None = None
    monitor: ProcessId | None = None
    started_at: float = 0.0
    exit: ExitResult | None = field(default=None)
    health: HealthCheck | None = None
    renewed: bool = False  # it ran before: what it wrote is somebody's

    def state(self) -> ContainerState:
        """The record as callers see it."""
        phases: Mapping[Step, Phase] = {"running": "running", "exited": "exited"}
        phase = phases.get(self.step, "created")
        pid = self.process.pid if self.process is not None and phase != "exited" else 0
        return ContainerState(
            self.id, self.name, self.labels, phase, pid, self.started_at, self.exit, self.health
        )

    def ended(self, result: ExitResult) -> "Record":
        """The same container after its end, which no coarse file time puts before its start."""
        at = max(result.at, self.started_at)
        return replace(self, step="exited", exit=replace(result, at=at))


def renewed(ended: Record) -> Record:
    """The same container, about to be made ready to start again."""
    fresh = replace(ended, step="created", started_at=0.0, exit=None, renewed=True)
    return replace(fresh, process=None, monitor=None)


def boot_id() -> str:
    """Names the present run of the kernel."""
    return BOOT_ID.read_text().strip()


def save(path: Path, record: Record) -> None:
    """Replaces the record at `path`."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(record)))
    os.replace(temporary, path)


def load(path: Path) -> Record | None:
    """The record at `path`; None if there is none, or half of one.

    OSError if the disk or the host does not let us know.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        for name, kind in (("process", ProcessId), ("monitor", ProcessId), ("exit", ExitResult)):
            if found[name] is not None:
                found[name] = kind(**found[name])
        if (health := found.get("health")) is not None:
            found["health"] = HealthCheck(**health | {"command": tuple(health["command"])})
        return Record(**found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
