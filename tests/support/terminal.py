"""A terminal with a program in it, as a user has it: its keys, its size, what it shows."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

LIMIT = 30.0
"""Seconds in which what is waited for must come."""


class Terminal:
    """Runs `argv` until it is left; kills it if it still runs then."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(24, 80)
        self._before = termios.tcgetattr(self._slave)
        # setsid makes it the program's controlling terminal, which a change of size is told by;
        # whoever runs the tests in the background ignores Ctrl-C, and so would the program.
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", "setsid", "-c", *argv],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=env,
        )
        self.shown = b""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def resize(self, rows: int, columns: int) -> None:
        """Gives it another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Presses keys."""
        os.write(self._master, keys)

    def until(self, text: bytes) -> None:
        """Waits until it shows this text, behind what was waited for before."""
        deadline = time.monotonic() + LIMIT
        while text not in self.shown:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._master], [], [], left)
            assert ready, f"{text!r} was not shown, but {self.shown!r}"
            self.shown += os.read(self._master, 65536)
        self.shown = self.shown.partition(text)[2]

    def is_as_before(self) -> bool:
        """Whether keys mean what they meant at first."""
        return termios.tcgetattr(self._slave) == self._before

    def ended(self) -> int:
        """Waits for the program's end; its exit code."""
        return self.process.wait(LIMIT)
