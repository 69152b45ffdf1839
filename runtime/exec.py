"""A command that runs in a container, under the event loop: RunningCommand over `exec_spawn`.

It has ended when its process has; what its children still write then is not waited for, as a shell
would not either.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from hostkit import pidfd
from hostkit.descriptor import Descriptor
from runtime import exec_spawn
from runtime.driver import Stream
from runtime.exec_spawn import Spawned

_PIECE = 32 << 10
_LINGER = 0.1
"""Seconds for which output may still come once the command has ended: terminals are not prompt."""
_GRACE = 1.0
"""Seconds between HUP and KILL of a command that nobody waits for any more."""
_LOOK = 0.01
_END_OF_FILE = b"\x04"
_SIGNALLED = 128


@contextlib.asynccontextmanager
async def running(spawn: Coroutine[Any, Any, Spawned]) -> AsyncIterator["Command"]:
    """The command that `spawn` starts, which has ended when the block has."""
    spawning = asyncio.ensure_future(spawn)
    try:
        command = Command(await asyncio.shield(spawning))
    except asyncio.CancelledError:
        # A thread goes on to the end, and what it has started must not be left running.
        await asyncio.wait({spawning})
        if not spawning.cancelled() and spawning.exception() is None:
            await Command(spawning.result()).close()
        raise
    try:
        yield command
    finally:
        await command.close()


class Command:
    """RunningCommand; `close` it in the end, whatever happened."""

    def __init__(self, spawned: Spawned) -> None:
        self._spawned = spawned
        self._process = spawned.process
        self._tty = spawned.stdout == spawned.stderr
        out = Descriptor(spawned.stdout)
        self._outputs: dict[Stream, Descriptor] = {"stdout": out}
        self._input: Descriptor | None
        if self._tty:
            self._input = out if spawned.stdin is not None else None
        else:
            self._outputs["stderr"] = Descriptor(spawned.stderr)
            self._input = None if spawned.stdin is None else Descriptor(spawned.stdin)
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._early: list[int] = []  # signals that wait for the command to be known
        self._signals: asyncio.Task[None] | None = None
        self._pidfd = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """See RunningCommand."""
        return tuple(self._outputs)

    async def read(self, stream: Stream) -> bytes:
        """See RunningCommand."""
        source = self._outputs[stream]
        while True:
            piece = source.take(_PIECE)
            if piece is not None:
                return piece
            if not self._end.done():
                await source.wait(self._end)
            elif not await source.wait(timeout=_LINGER):
                return b""

    async def write(self, data: bytes) -> None:
        """See RunningCommand."""
        if self._input is not None:
            await self._input.write(data)

    async def end_input(self) -> None:
        """See RunningCommand."""
        if self._tty:
            await self.write(_END_OF_FILE)
        elif self._input is not None:
            self._input.close()

    def resize(self, rows: int, columns: int) -> None:
        """See RunningCommand."""
        if not self._tty or self._end.done():
            return
        exec_spawn.set_size(self._spawned.stdout, rows, columns)
        if self._spawned.relayed:
            self._process.send_signal(signal.SIGWINCH)

    def signal(self, number: int) -> None:
        """See RunningCommand."""
        if self._signals is None and exec_spawn.command_of(self._spawned.paths) is not None:
            self._send(number)
            return
        # The runtime has not noted yet which process it made, though that may have begun to talk.
        self._early.append(number)
        if self._signals is None:
            self._signals = asyncio.create_task(self._send_early())

    async def _send_early(self) -> None:
        """However long the runtime takes: a signal that is lost is sent by nobody again."""
        while exec_spawn.command_of(self._spawned.paths) is None and not self._end.done():
            await asyncio.wait({self._end}, timeout=_LOOK)
        for number in self._early:
            self._send(number)
        self._early.clear()
        self._signals = None

    def _send(self, number: int) -> None:
        command = exec_spawn.command_of(self._spawned.paths)
        # Its number is its own for as long as its parent, the runtime, lives.
        if command is not None and not self._end.done():
            pidfd.send_signal(command, number)

    async def wait(self) -> int:
        """See RunningCommand."""
        code = await asyncio.shield(self._end)
        failed = exec_spawn.failed_code(self._spawned.paths)
        return code if failed is None else failed

    async def close(self) -> None:
        """Ends the command if it still runs, and everything that was held for it."""
        for each in (self._input, *self._outputs.values()):
            if each is not None:
                each.close()
        if self._signals is not None:
            self._signals.cancel()
        if not self._end.done():
            await self._hang_up()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        await asyncio.to_thread(self._process.wait)
        await asyncio.to_thread(exec_spawn.remove, self._spawned.paths)

    async def _hang_up(self) -> None:
        """HUP as when a terminal is closed, and KILL for what does not obey.

        The runtime is not reaped before, so that its number remains its own.
        """
        await self._begun()
        found = exec_spawn.running(self._process.pid, self._spawned.paths)
        exec_spawn.end(found, signal.SIGHUP)
        if found.command is not None:
            await asyncio.to_thread(pidfd.wait, found.command, _GRACE)
        exec_spawn.end(found, signal.SIGKILL)

    async def _begun(self) -> None:
        """Until the runtime has noted which process it made, which it may do late."""
        for _ in range(round(_GRACE / _LOOK)):
            if self._spawned.paths.pidfile.exists() or self._end.done():
                return
            await asyncio.wait({self._end}, timeout=_LOOK)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        end = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is None or self._end.done():
            return
        by_signal = end.si_code != os.CLD_EXITED
        self._end.set_result(_SIGNALLED + end.si_status if by_signal else end.si_status)
