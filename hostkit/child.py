"""A child process under the event loop, and its pipes.

The way of asyncio and uvloop forks, and a fork calls what libraries have asked to be called then:
gRPC, whose threads are at work, complains of each. Python's own starts a program without a copy of
this process, so that nothing is called. It blocks until the program runs: milliseconds.
"""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from hostkit.descriptor import Descriptor

_PIECE = 64 << 10


class Child:
    """`close` it in the end, whatever happened. A stream that is not asked for is /dev/null, but
    standard error, which is this process's own; with `terminal` all three are.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        stdout: bool = False,
        stderr: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        terminal: bool = False,
    ) -> None:
        """OSError if the program cannot be run."""
        otherwise = None if terminal else subprocess.DEVNULL
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else otherwise,
            stdout=subprocess.PIPE if stdout else otherwise,
            stderr=subprocess.PIPE if stderr else None,
            bufsize=0,
            env=env,
            cwd=cwd,
        )
        self.stdin = _taken(self._process.stdin)
        self.stdout = _taken(self._process.stdout)
        self.stderr = _taken(self._process.stderr)

    @property
    def has_ended(self) -> bool:
        """Whether it has, as far as is known without waiting."""
        return self._process.poll() is not None

    async def wait(self) -> int:
        """Its exit status, or minus the signal that killed it, once it has ended."""
        if not self.has_ended:
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            pidfd = os.pidfd_open(self._process.pid)
            loop.add_reader(pidfd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(pidfd)
                os.close(pidfd)
        return self._process.wait()

    def terminate(self) -> None:
        """Asks it to end."""
        self._process.terminate()

    async def close(self) -> None:
        """Kills and reaps what still runs, and lets go of its pipes, which its own children may
        hold open.
        """
        for each in (self.stdin, self.stdout, self.stderr):
            each.close()
        if not self.has_ended:
            self._process.kill()
            await asyncio.shield(asyncio.ensure_future(self.wait()))


async def everything(source: Descriptor) -> bytes:
    """What comes up to the end."""
    found = bytearray()
    while True:
        piece = source.take(_PIECE)
        if piece is None:
            await source.wait()
        elif piece:
            found += piece
        else:
            return bytes(found)


async def line(source: Descriptor, limit: int) -> bytes:
    """The next line, or what came of it before the end; ValueError if it is longer than `limit`.

    For who speaks in turns: what came behind the line is an error too.
    """
    found = b""
    while not found.endswith(b"\n"):
        piece = source.take(limit + 1 - len(found))
        if piece is None:
            await source.wait()
        elif not piece:
            break
        else:
            found += piece
            if len(found) > limit or b"\n" in found[:-1]:
                raise ValueError("no single line comes")
    return found


def _taken(file: IO[bytes] | None) -> Descriptor:
    """The file's descriptor; one of nothing where there is no file."""
    if file is None:
        return Descriptor(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
    with file:
        return Descriptor(os.dup(file.fileno()))
