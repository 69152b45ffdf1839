"""The server of a mount, as a child of the guardian: started, waited for until it answers, ended.

The kernel kills it together with the guardian, also if both are stopped. Belongs to the guardian's
single thread, which asks it again and again and never waits here.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hostkit import mount
from hostkit.doom import die_with_parent

STEP = 0.02
"""Seconds between two looks at a server that is not ready yet."""
_GOING = 1.0
"""Seconds for one that was killed to be gone."""
_LINES = 5
_WORDS = 2000
"""Lines of what it said last that go into an error, and bytes that are kept."""


class Serving:
    """One server, perhaps with a transport. `close` it in any case."""

    def __init__(self, order: Mapping[str, Any], target: str, ends_at: float) -> None:
        """`order`: the fields of `driver.Server`; `ends_at`: by when it must be ready.

        OSError if a program cannot be run; nothing of it is left then.
        """
        self.target = target
        self.ready = False
        self._ends_at = ends_at
        self._said = b""
        self._prober = 0
        self._children: list[subprocess.Popen[bytes]] = []
        self._files = {name: _in_memory(data) for name, data in order["files"].items()}
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._words = read
        try:
            self._start(order, write)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(write)

    @property
    def pid(self) -> int:
        """Of the server itself."""
        return self._children[0].pid

    def look(self, now: float) -> str:
        """Looks after it; why it is of no use any more, or nothing."""
        self._listen()
        for child in self._children:
            if child.poll() is not None:
                return f"{os.path.basename(_name(child))} has ended: {self.words() or _end(child)}"
        if self.ready:
            return ""
        if self._answers():
            self.ready = True
            self._forget_files()
        elif now >= self._ends_at:
            return self.words() or "it gives no answer"
        return ""

    def words(self) -> str:
        """What it said last."""
        lines = self._said.decode(errors="replace").strip().splitlines()
        return " | ".join(lines[-_LINES:])

    def end(self, seconds: float) -> None:
        """Waits so long until it has ended by itself, else kills it; returns once it has gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._children:
                self._children[0].wait(max(0.0, seconds))
        self.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # what waits for its storage cannot go
            for child in self._children:
                child.wait(_GOING)

    def close(self) -> None:
        """Kills what runs, and frees everything. May be called again."""
        for child in self._children:
            child.kill()
        if self._prober:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._prober, signal.SIGKILL)
        self._forget_files()
        if self._words >= 0:
            os.close(self._words)
            self._words = -1

    def _start(self, order: Mapping[str, Any], errors: int) -> None:
        if not order["transport"]:
            self._run(order["command"], order, subprocess.DEVNULL, errors)
            return
        near, far = socket.socketpair()
        with near, far:
            self._run(order["command"], order, near.fileno(), errors)
            self._run(order["transport"], order, far.fileno(), errors)

    def _run(
        self, command: Sequence[str], order: Mapping[str, Any], joined: int, errors: int
    ) -> None:
        argv = [self._filled(word) for word in command]
        environment = {"PATH": os.environ.get("PATH", os.defpath), **order["environment"]}
        child = subprocess.Popen(
            argv,
            stdin=joined,
            stdout=joined,
            stderr=errors,
            env=environment,
            cwd="/",
            preexec_fn=_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
        )
        self._children.append(child)

    def _filled(self, word: str) -> str:
        for name, handle in self._files.items():
            word = word.replace(f"{{file:{name}}}", f"/proc/{os.getpid()}/fd/{handle}")
        return word

    def _forget_files(self) -> None:
        for handle in self._files.values():
            os.close(handle)
        self._files = {}

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._words, 1 << 16):
                self._said = (self._said + piece)[-_WORDS:]

    def _answers(self) -> bool:
        """Whether the mount is there, and a child that looked into it came back well."""
        if self._prober:
            pid, status = os.waitpid(self._prober, os.WNOHANG)
            if not pid:
                return False
            self._prober = 0
            if os.waitstatus_to_exitcode(status) == 0:
                return True
        if mount.is_mounted(Path(self.target)):
            self._prober = _probe(self.target)
        return False


def _probe(target: str) -> int:
    """A child that looks into the mount, which may take for ever; its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        die_with_parent(parent)
        os.statvfs(target)
        os.listdir(target)
        os._exit(0)
    finally:
        os._exit(1)


def _with(parent: int) -> Callable[[], None]:
    return lambda: die_with_parent(parent)


def _in_memory(data: str) -> int:
    """A file that is in memory alone, and root's; `data` is latin-1 for the bytes of it."""
    handle = os.memfd_create("swarm", os.MFD_CLOEXEC)
    os.fchmod(handle, 0o600)
    rest = memoryview(data.encode("latin-1"))
    while rest:
        rest = rest[os.write(handle, rest) :]
    return handle


def _name(child: "subprocess.Popen[bytes]") -> str:
    words = child.args
    assert isinstance(words, list)  # noqa: S101 - as it was started
    return str(words[0])


def _end(child: "subprocess.Popen[bytes]") -> str:
    code = child.returncode
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def wait_for(handles: Sequence[int], seconds: float | None) -> set[int]:
    """Those of the descriptors from which there is something to read, or that are broken."""
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    return {handle for handle, _ in poller.poll(None if seconds is None else seconds * 1000)}
