"""Asks at the operator's terminal, without showing what is typed, while everything else goes on."""

import asyncio
import os
import termios
from pathlib import Path

_TERMINAL = "/dev/tty"
_LONGEST = 1024


class AtTerminal:
    """Questions, at the terminal that this process is run from. None where there is none, or if
    nothing is typed.
    """

    async def passphrase(self, key: Path) -> str | None:
        """See Questions."""
        return await hidden(f"Passphrase of {key}: ") or None

    async def sudo_password(self, machine: str, user: str) -> str | None:
        """See Questions."""
        return await hidden(f"Password of {user} on {machine}, for sudo: ") or None


async def hidden(prompt: str, terminal: str = _TERMINAL) -> str | None:
    """One line from the terminal, not shown; None at its end, or if there is no terminal.

    However it ends, the terminal shows again what is typed.
    """
    try:
        handle = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        before = termios.tcgetattr(handle)
        silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(handle, termios.TCSAFLUSH, silent)
        try:
            os.write(handle, prompt.encode())
            return await _line(handle)
        finally:
            termios.tcsetattr(handle, termios.TCSAFLUSH, before)
            os.write(handle, b"\n")
    finally:
        os.close(handle)


async def _line(handle: int) -> str | None:
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        loop.remove_reader(handle)
        if not typed.done():
            try:
                typed.set_result(os.read(handle, _LONGEST))
            except OSError:  # the terminal is gone
                typed.set_result(b"")

    loop.add_reader(handle, read)
    try:
        line = await typed
    finally:
        loop.remove_reader(handle)
    return line.decode(errors="replace").rstrip("\r\n") if line else None
