"""Processes of the kernel under an identity that outlives the reuse of pids.

A pid alone may come to mean another process; together with its start time it does not. Holds
that pair and the few things done with it; starts no process and reaps only its own children.
"""

import contextlib
import errno
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_STATE_FIELD = 0  # fields of /proc/PID/stat, counted behind the command's closing bracket
_START_FIELD = 19
_DEAD = ("Z", "X")
_GONE = (errno.ESRCH, errno.ENOENT, errno.EINVAL)
"""Answers of pidfd_open where no process has that pid; the last two where a thread has it by now,
ENOENT since Linux 6.9.
"""


@dataclass(frozen=True)
class ProcessId:
    """A pid and its start time in clock ticks since boot."""

    pid: int
    started: int


def stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; OSError if there is no such process.

    The command before them may hold blanks, brackets and any bytes: the kernel cuts a name in the
    midst of a character. Everything behind the last bracket is plain.
    """
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()


def identify(pid: int) -> ProcessId | None:
    """The identity of what runs under `pid` now; None if nothing does, or only a zombie."""
    try:
        fields = stat_fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STATE_FIELD] in _DEAD:
        return None
    return ProcessId(pid, int(fields[_START_FIELD]))


def open_process(process: ProcessId) -> int | None:
    """A pidfd of exactly that process, to be closed by the caller; None if it is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    # Only now is the pid pinned: what it means from here on is what the descriptor means.
    if identify(process.pid) != process:
        os.close(fd)
        return None
    return fd


@contextlib.contextmanager
def _opened(process: ProcessId) -> Iterator[int | None]:
    fd = open_process(process)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def is_alive(process: ProcessId) -> bool:
    """Whether exactly that process still runs."""
    return identify(process.pid) == process


def send_signal(process: ProcessId, number: int) -> bool:
    """Signals exactly that process; False if it is gone. Raises OSError for a wrong number."""
    with _opened(process) as fd:
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        return True


def wait(process: ProcessId, seconds: float) -> bool:
    """Whether exactly that process is gone, after `seconds` at the latest. Blocks."""
    with _opened(process) as fd:
        if fd is None:
            return True
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))


def kill(process: ProcessId, seconds: float) -> bool:
    """Kills exactly that process; whether it is gone after `seconds` at the latest. Blocks."""
    return not send_signal(process, signal.SIGKILL) or wait(process, seconds)


def reap(fd: int) -> None:
    """Takes the status of a child that ended, if it is ours: as where the daemon is PID 1."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
