"""Kills a process with all that it brought forth, as far as the kernel remembers that.

Counted as its own: its descendants, and whoever is in a session of one of them. What began a
session of its own and was then orphaned is not found. Blocking: for worker threads.
"""

import contextlib
import os
import signal

from hostkit import pidfd
from hostkit.pidfd import ProcessId

_PARENT_FIELD, _SESSION_FIELD, _START_FIELD = 1, 3, 19
"""Fields of /proc/PID/stat, counted behind the command's closing bracket; the state is the first.
"""
_ROUNDS = 20


def kill(root: ProcessId, seconds: float) -> bool:
    """Kills `root`, the leader of a session, last; whether it is gone within `seconds` after."""
    sessions = {root.pid}
    for _ in range(_ROUNDS):  # until nothing is left that could have forked meanwhile
        members = _members(root.pid, sessions)
        if not members:
            break
        for process in members:
            pidfd.send_signal(process, signal.SIGKILL)
    return pidfd.kill(root, seconds)


def _members(root: int, sessions: set[int]) -> list[ProcessId]:
    """What lives below `root` or in one of `sessions`, which grows by theirs."""
    others = {each: place for each, place in _processes().items() if each.pid != root}
    found: dict[int, ProcessId] = {}
    while True:
        more = [
            each
            for each, (parent, session) in others.items()
            if each.pid not in found and (parent == root or parent in found or session in sessions)
        ]
        if not more:
            return list(found.values())
        found |= {each.pid: each for each in more}
        sessions |= {others[each][1] for each in more}


def _processes() -> dict[ProcessId, tuple[int, int]]:
    """Parent and session of every process but the dead ones."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            fields = pidfd.stat_fields(int(entry.name))
            if fields[0] not in ("Z", "X"):
                each = ProcessId(int(entry.name), int(fields[_START_FIELD]))
                found[each] = int(fields[_PARENT_FIELD]), int(fields[_SESSION_FIELD])
    return found
