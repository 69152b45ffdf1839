"""WireGuard by wireguard-go, where the kernel has none. Spoken to over its socket.

It belongs to no daemon: it has a session and a control group of its own, goes on when the daemon
ends, and is found again by its socket. It ends when its device is deleted.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit import cgroup, netns
from overlay_net.encrypt import uapi
from overlay_net.encrypt.driver import Change, Configured

PROGRAM = "wireguard-go"
SOCKETS = Path("/var/run/wireguard")
"""Where it makes its sockets, wherever it is started."""

_START = 10.0
_ANSWER = 5.0
_LARGEST = 4 << 20
_STEP, _STEPS = 0.02, 100
_END = b"\n\n"
_JOIN = """\
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"
"""
"""It forks before it can be moved, so it has to be born in its group. Variables are arguments."""


class WireguardGo:
    """Driver of the device of this name. `host`: file of its network namespace; `program`: its
    path; `group`: its control group, of which nobody else is; empty: the caller's.
    """

    is_slow = True

    def __init__(self, device: str, host: str, program: str, group: str) -> None:
        self.title = _title(program)
        self._device = device
        self._host = host
        self._program = program
        self._group = group
        self._socket = SOCKETS / f"{device}.sock"

    def read(self) -> Configured | None:
        """See Driver."""
        try:
            return uapi.configured(self._talk(uapi.GET))
        except OSError:
            return None

    def make(self) -> None:
        """See Driver."""
        folders = cgroup.make(cgroup.detect(), self._group) if self._group else []
        argv = ["/bin/sh", "-c", _JOIN, "sh", *map(str, folders), "--", self._program, self._device]
        done = netns.call_in(self._host, lambda: _run(argv))
        if done.returncode:
            words = done.stderr.decode(errors="replace").splitlines()[-1:]
            raise SwarmError(
                Code.INTERNAL, f"{self._program} cannot be started", why=" ".join(words)
            )

    def clear(self) -> None:
        """See Driver. What hangs is killed."""
        for _ in range(_STEPS):
            if not self._is_there():
                break
            time.sleep(_STEP)
        hierarchies = cgroup.detect() if self._group else None
        if hierarchies is not None:
            for pid in cgroup.processes(hierarchies, self._group):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            cgroup.remove_empty(hierarchies, self._group)

    def configure(self, change: Change) -> None:
        """See Driver."""
        uapi.check(self._talk(uapi.question(change)))

    def _is_there(self) -> bool:
        try:
            with _connected(self._socket):
                return True
        except OSError:
            return False

    def _talk(self, question: bytes) -> bytes:
        with _connected(self._socket) as connection:
            connection.sendall(question)
            answer = b""
            while not answer.endswith(_END):
                piece = connection.recv(1 << 16)
                answer += piece
                if not piece or len(answer) > _LARGEST:
                    raise OSError(f"{self._socket} gives no whole answer")
            return answer


def _connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(_ANSWER)
        made.connect(str(path))
    except BaseException:
        made.close()
        raise
    return made


def _run(argv: list[str], output: int = subprocess.DEVNULL) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            timeout=_START,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise SwarmError(Code.DEADLINE, f"{argv[-2]} does not start within {_START:g} s") from None


def _title(program: str) -> str:
    """As "wireguard-go 0.0.20220316"; without its version if it does not tell."""
    with contextlib.suppress(OSError, SwarmError):
        said = _run([program, "--version"], subprocess.PIPE).stdout.decode(errors="replace")
        if said.startswith(f"{PROGRAM} v"):
            return f"{PROGRAM} {said.split()[1].removeprefix('v')}"
    return PROGRAM
