"""The control groups of one host of a lab: made, joined, frozen, and removed with all in them.

A host owns one group of the same path in every hierarchy. Its PID 1 and daemon sit in the leaf
`init` below it, containers beside that leaf, as version 2 wants it. What the group limits is the
daemon's business.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import cgroup
from hostkit.cgroup import Hierarchies

_LEAF = "init"
_STEP = 0.02
_STEPS = 500
_V2 = 2


def roots(hierarchies: Hierarchies) -> list[Path]:
    """Where a host's group is made: without the version 2 mount of a hybrid machine, which hosts
    do not see, since crun refuses to work beside it.
    """
    return [root for root in hierarchies.roots if _used(hierarchies, root)]


def make(hierarchies: Hierarchies, group: str) -> None:
    """The host's group and its leaf in every hierarchy, ready for processes."""
    for root in roots(hierarchies):
        directory = root / group.lstrip("/")
        for each in (directory, directory / _LEAF):
            each.mkdir(exist_ok=True)
            _inherit_cpuset(each)
        if hierarchies.version == _V2:
            _hand_down_controllers(root)
            _hand_down_controllers(directory)


def leaves(hierarchies: Hierarchies, group: str) -> list[Path]:
    """The directories a process must be written into to belong to the host."""
    return [root / group.lstrip("/") / _LEAF for root in roots(hierarchies)]


def join(hierarchies: Hierarchies, group: str) -> None:
    """Move the calling process into the host's leaf."""
    for leaf in leaves(hierarchies, group):
        (leaf / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")


def processes(hierarchies: Hierarchies, group: str) -> set[int]:
    """Pids of all that belong to the host, containers included."""
    found: set[int] = set()
    for root in roots(hierarchies):
        for directory, _, _ in os.walk(root / group.lstrip("/")):
            with contextlib.suppress(OSError):  # removed meanwhile
                text = Path(directory, "cgroup.procs").read_text(encoding="ascii")
                found.update(int(pid) for pid in text.split())
    return found


def is_frozen(hierarchies: Hierarchies, group: str) -> bool:
    """Whether the host is stopped where it stands."""
    with contextlib.suppress(OSError, SwarmError):
        file, frozen, _ = _freezer(hierarchies, group)
        return file.read_text(encoding="ascii").strip() == frozen
    return False


async def freeze(hierarchies: Hierarchies, group: str) -> None:
    """Stop every process of the host; returns when all stand."""
    file, frozen, _ = _freezer(hierarchies, group)
    file.write_text(frozen, encoding="ascii")
    for _ in range(_STEPS):
        if _all_stand(hierarchies, file):
            return
        await asyncio.sleep(_STEP)
    raise SwarmError(Code.DEADLINE, f"not every process of {group} could be stopped")


def thaw(hierarchies: Hierarchies, group: str) -> None:
    """Let every process of the host go on; no error if it has no group or none stands."""
    with contextlib.suppress(FileNotFoundError, SwarmError):
        file, _, thawed = _freezer(hierarchies, group)
        file.write_text(thawed, encoding="ascii")


async def remove(hierarchies: Hierarchies, group: str) -> None:
    """Kill what is in the host's group, frozen or not, and remove it everywhere."""
    thaw(hierarchies, group)
    for _ in range(_STEPS):
        for pid in processes(hierarchies, group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if cgroup.remove(hierarchies, group):
            return
        await asyncio.sleep(_STEP)
    left = ", ".join(str(pid) for pid in sorted(processes(hierarchies, group)))
    raise SwarmError(
        Code.DEADLINE,
        f"control group {group} cannot be removed",
        why=f"processes do not end: {left}" if left else "it stays busy",
    )


def _used(hierarchies: Hierarchies, root: Path) -> bool:
    return hierarchies.version == _V2 or root != hierarchies.unified


def _inherit_cpuset(directory: Path) -> None:
    """In version 1 a fresh cpuset is empty, and nobody can join it before it has both of these."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (directory / name).exists() and (directory.parent / "tasks").exists():
            (directory / name).write_bytes((directory.parent / name).read_bytes())


def _hand_down_controllers(directory: Path) -> None:
    for controller in (directory / "cgroup.controllers").read_text(encoding="ascii").split():
        # One that cannot be handed down (as cpuset, taken by others) must not keep the rest back.
        with contextlib.suppress(OSError):
            (directory / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")


def _freezer(hierarchies: Hierarchies, group: str) -> tuple[Path, str, str]:
    """The file to write, and the words for frozen and thawed."""
    if hierarchies.version == _V2:
        assert hierarchies.unified is not None  # noqa: S101 - what version 2 means
        return hierarchies.unified / group.lstrip("/") / "cgroup.freeze", "1", "0"
    file = hierarchies.file("freezer", group, "freezer.state")
    if file is None:
        raise SwarmError(Code.UNSUPPORTED, "this machine has no cgroup freezer")
    return file, "FROZEN", "THAWED"


def _all_stand(hierarchies: Hierarchies, file: Path) -> bool:
    if hierarchies.version == _V2:
        return "frozen 1" in (file.parent / "cgroup.events").read_text(encoding="ascii")
    return file.read_text(encoding="ascii").strip() == "FROZEN"  # FREEZING until all do
