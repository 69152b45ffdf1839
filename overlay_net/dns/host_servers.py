"""The host's own name servers, read again when its resolv.conf has changed."""

import os
from pathlib import Path

from hostkit.clock import Clock
from overlay_net.dns.resolv import name_servers

PATH = Path("/etc/resolv.conf")
LOOK = 1.0
"""Seconds after which the file is looked at again."""
MAX_TEXT = 64 << 10

_Stamp = tuple[int, int, int]


class HostServers:
    """A file that is missing or unreadable counts as empty, until it is there."""

    def __init__(self, monotonic: Clock, path: Path = PATH) -> None:
        self._monotonic = monotonic
        self._path = path
        self._look_at = float("-inf")
        self._stamp: _Stamp | None = None
        self._servers: tuple[str, ...] = ()

    def servers(self) -> tuple[str, ...]:
        """Their addresses, in order."""
        now = self._monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._look()
        return self._servers

    def _look(self) -> None:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
                if stamp != self._stamp:
                    self._servers = name_servers(file.read(MAX_TEXT).decode("utf-8", "replace"))
                    self._stamp = stamp
        except OSError:
            self._stamp, self._servers = None, ()
