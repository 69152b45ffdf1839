"""The control groups of this host, versions 1, 2 and the hybrid of both.

Knows where each controller is mounted, joins and removes groups, and reads the files of one.
It sets no limits: the OCI runtime does. A group is named by its absolute path, as `/swarm/ID`,
which is the same in every hierarchy.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hostkit.mount import entries, read_mounts

_KNOWN = (
    "blkio cpu cpuacct cpuset devices freezer hugetlb memory misc net_cls net_prio perf_event pids"
    " rdma"
)
_CONTROLLERS = frozenset(_KNOWN.split())
_JOINED = ("memory", "pids", "cpu", "cpuacct")  # what a moved process is accounted and limited by
_KILL_STEP = 0.02
_SYSTEMD = "name=systemd"
_V2 = 2


@dataclass(frozen=True)
class Hierarchies:
    """`version` 1 or 2 of the one with the resource controllers; controller -> mount point.

    Under version 2 all controllers have the same mount point. `unified` is the mount of version 2,
    be it all there is or, on a hybrid host, beside the version 1 hierarchies.
    """

    version: int
    controllers: Mapping[str, Path]
    unified: Path | None = None

    @property
    def roots(self) -> list[Path]:
        """Every mount point, each once."""
        found = dict.fromkeys(self.controllers.values())
        if self.unified is not None:
            found[self.unified] = None
        return list(found)

    def file(self, controller: str, group: str, name: str) -> Path | None:
        """Path of one file of a group; None if the host has no such controller."""
        root = self.controllers.get(controller)
        return None if root is None else root / group.lstrip("/") / name


def parse(mounts: str, unified_controllers: Mapping[Path, str]) -> Hierarchies:
    """From the text of /proc/self/mounts and `cgroup.controllers` of each version 2 mount."""
    controllers: dict[str, Path] = {}
    unified: list[Path] = []
    for line in entries(mounts):
        _, point, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            unified.append(Path(point))
        elif kind == "cgroup":
            for option in options.split(","):
                if option in _CONTROLLERS or option == _SYSTEMD:
                    controllers.setdefault(option, Path(point))
    second = unified[0] if unified else None
    if controllers and not controllers.keys() <= {_SYSTEMD}:
        return Hierarchies(1, controllers, second)
    if second is None:
        return Hierarchies(1, {})
    found = unified_controllers.get(second, "").split()
    return Hierarchies(_V2, dict.fromkeys(found, second), second)


def detect() -> Hierarchies:
    """The hierarchies of this host, as mounted now."""
    text = read_mounts()
    points = [Path(line.split(" ")[1]) for line in entries(text) if " cgroup2 " in line]
    controllers = {}
    for point in points:
        with contextlib.suppress(OSError):
            controllers[point] = (point / "cgroup.controllers").read_text()
    return parse(text, controllers)


def _joined_roots(hierarchies: Hierarchies) -> list[Path]:
    if hierarchies.version == _V2:
        return hierarchies.roots
    wanted = (*_JOINED, _SYSTEMD)
    found = (hierarchies.controllers.get(name) for name in wanted)
    return list(dict.fromkeys(root for root in found if root is not None))


def make(hierarchies: Hierarchies, group: str) -> list[Path]:
    """Makes the group where processes are accounted; the directories, for `join`."""
    directories = [root / group.lstrip("/") for root in _joined_roots(hierarchies)]
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    return directories


def join(directories: list[Path], pid: int) -> None:
    """Moves a process, all of its threads, into a group that `make` made."""
    for directory in directories:
        (directory / "cgroup.procs").write_text(str(pid))


def remove(hierarchies: Hierarchies, group: str) -> bool:
    """Removes the group and its empty children everywhere; False if a process is still in it."""
    if not group.strip("/"):
        raise ValueError("the root group cannot be removed")
    gone = True
    for root in hierarchies.roots:
        gone = _remove_tree(root / group.lstrip("/")) and gone
    return gone


def remove_empty(hierarchies: Hierarchies, group: str) -> None:
    """Removes the group, its parents and children untouched, wherever nothing is in it."""
    if not group.strip("/"):
        raise ValueError("the root group cannot be removed")
    for root in hierarchies.roots:
        with contextlib.suppress(OSError):
            (root / group.lstrip("/")).rmdir()


def _remove_tree(directory: Path) -> bool:
    try:
        children = [entry.path for entry in os.scandir(directory) if entry.is_dir()]
    except FileNotFoundError:
        return True
    for child in children:
        _remove_tree(Path(child))
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # EBUSY, ENOTEMPTY
        return False
    return True


def processes(hierarchies: Hierarchies, group: str) -> set[int]:
    """Pids in the group, children not included; empty if there is no such group."""
    found: set[int] = set()
    for root in hierarchies.roots:
        with contextlib.suppress(OSError):
            text = (root / group.lstrip("/") / "cgroup.procs").read_text()
            found.update(int(pid) for pid in text.split())
    return found


def kill(hierarchies: Hierarchies, group: str, seconds: float) -> bool:
    """Kills all that is in the group and below it; whether it is gone after `seconds` at most.

    Nothing of it forks on meanwhile: the kernel kills the group as one, or it is frozen first.
    Blocking. A group that is not there is empty.
    """
    name = group.lstrip("/")
    unified = hierarchies.unified
    if unified is not None:
        with contextlib.suppress(OSError):  # Linux before 5.14 has no such file
            (unified / name / "cgroup.kill").write_text("1")
    freezer = hierarchies.file("freezer", group, "freezer.state")
    steps = max(1, round(seconds / _KILL_STEP))
    for step in range(steps + 1):
        found = _all_processes(hierarchies, name)
        if not found:
            return True
        if step == steps:
            return False
        _write_if_there(freezer, "FROZEN")
        for pid in found | _all_processes(hierarchies, name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _write_if_there(freezer, "THAWED")
        time.sleep(_KILL_STEP)
    raise AssertionError("the last step returns")


def _write_if_there(file: Path | None, text: str) -> None:
    if file is not None:
        with contextlib.suppress(OSError):
            file.write_text(text)


def _all_processes(hierarchies: Hierarchies, name: str) -> set[int]:
    """Pids in the group and all below it."""
    found: set[int] = set()
    for root in hierarchies.roots:
        for directory, _, _ in os.walk(root / name):
            with contextlib.suppress(OSError):  # removed meanwhile
                text = Path(directory, "cgroup.procs").read_text()
                found.update(int(pid) for pid in text.split())
    return found


def read_number(path: Path | None) -> int:
    """A file of one number; 0 if it is missing, or says `max`."""
    if path is None:
        return 0
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def read_table(path: Path | None) -> dict[str, int]:
    """A file of `name number` lines; empty if it is missing."""
    if path is None:
        return {}
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(" ") for line in lines)
    return {name: int(value) for name, _, value in pairs if value.isdigit()}
