"""The way to an SSH server through a program of this machine (ProxyCommand): what it is fed goes
there, what it prints came from there.

To those who use it it is a socket, with the time limits of sockets. Once that is closed the program
has ended, and what it started with it, unless that went off into a session of its own.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import IO

from api.errors import Code, SwarmError

_GRACE = 2.0
"""Seconds from asking the program to end to killing it."""
_HEARD_OUT = 1.0
"""Seconds for the rest of what it says; who else has that stream is not waited for."""
_KEPT = 4096
_TOLD_LINES = 3


class PipedWay(socket.socket):
    """A socket, and the program at its other end; made by `through`."""

    def __init__(self, ours: socket.socket, program: "subprocess.Popen[bytes]") -> None:
        super().__init__(fileno=ours.detach())
        self._program = program
        self._said = _LastWords(program.stderr)
        self._closing = threading.Lock()
        self._was_ended = False  # by us

    def why(self) -> str:
        """How the program ended, if it did so by itself, and what it said last; once closed."""
        code, said = self._program.returncode, self._said.text()
        if code is None or self._was_ended:
            return said
        ending = f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"{ending}: {said}" if said else ending

    def close(self) -> None:
        """Ends the program too; returns when it has ended. Blocks; twice does no harm."""
        with self._closing:
            if self._program.returncode is None:
                is_ending = self._is_hung_up()
                super().close()
                was_told = _end(self._program, _GRACE if is_ending else 0.0)
                # One that ends at the end of its input is quick, and does so because of us, too.
                self._was_ended = was_told or not is_ending
                self._said.end()

    def _is_hung_up(self) -> bool:
        """Whether the program, or who had its outputs, is gone already."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))


def through(command: str, environment: Mapping[str, str] | None = None) -> PipedWay:
    """Starts the command by the operator's shell, which becomes it, as ssh does.

    It has no terminal, so that it cannot ask there unseen. UNSUPPORTED if there is no such shell.
    """
    around = dict(os.environ if environment is None else environment)
    shell = around.get("SHELL") or "/bin/sh"
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            program = subprocess.Popen(
                [shell, "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=around,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SwarmError(
                Code.UNSUPPORTED,
                f"cannot run {shell}, which a ProxyCommand needs",
                why=str(error.strerror).lower(),
                remedy="set SHELL to the shell that you use",
            ) from None
    return PipedWay(ours, program)


class _LastWords:
    """Reads a stream, in a thread of its own, and keeps the last part of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None  # noqa: S101 - it was asked for
        self._stream = stream
        self._kept = b""
        self._enough = os.eventfd(0)
        self._thread = threading.Thread(target=self._read, name="ssh-piped")
        self._thread.start()

    def text(self) -> str:
        """The last lines, as one."""
        lines = self._kept.decode(errors="replace").splitlines()[-_TOLD_LINES:]
        return " | ".join(line.strip() for line in lines if line.strip())

    def end(self) -> None:
        """Waits for the end, which comes with the program's; others there are not heard out."""
        self._thread.join(_HEARD_OUT)
        os.eventfd_write(self._enough, 1)
        self._thread.join()
        os.close(self._enough)

    def _read(self) -> None:
        poll = select.poll()
        with self._stream:
            for each in (self._stream.fileno(), self._enough):
                poll.register(each, select.POLLIN)
            while self._enough not in dict(poll.poll()):
                piece = os.read(self._stream.fileno(), _KEPT)
                if not piece:
                    return
                self._kept = (self._kept + piece)[-_KEPT:]


def _end(program: "subprocess.Popen[bytes]", patience: float) -> bool:
    """Asks all of its group to end, then makes them; whether it had not ended by itself, for
    which it has `patience` seconds. It is reaped last: until then its number is no other process's.
    """
    handle = os.pidfd_open(program.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        ran = not poll.poll(patience * 1000)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGTERM)
        poll.poll(_GRACE * 1000)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    finally:
        os.close(handle)
    program.wait()
    return ran
