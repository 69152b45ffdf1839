"""The CSI drivers of a host: each listens on a socket that is called after it, in one folder.

FOLDER/NAME.sock, or FOLDER/NAME/csi.sock, so that it can be mounted into the driver's container.
"""

import asyncio
import logging
import re
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from runtime.volume.csi import faults
from runtime.volume.csi.driver import CsiDriver
from runtime.volume.csi.endpoint import Endpoint, Timeouts

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_OWN_SOCKET = "csi.sock"
_MAX_ENTRIES = 4096


class CsiSource:
    """See `runtime.volume.drivers.Source`. `state`: where volumes are staged."""

    def __init__(self, sockets: Path, state: Path, timeouts: Timeouts | None = None) -> None:
        self._sockets = sockets
        self._state = state
        self._timeouts = timeouts

    async def find(self, name: str) -> CsiDriver | None:
        """The driver of this name, whether it answers or not; None: no socket is called so."""
        path = await asyncio.to_thread(self._socket, name)
        return None if path is None else self._driver(name, path)

    async def every(self) -> Sequence[CsiDriver]:
        """All that have a socket."""
        names = await asyncio.to_thread(self._names)
        found = [await self.find(name) for name in names]
        return [driver for driver in found if driver is not None]

    async def get(self, name: str) -> CsiDriver:
        """The driver of this name; UNAVAILABLE, with the remedy, if no socket is called so."""
        driver = await self.find(name)
        if driver is None:
            raise faults.absent(name, str(self._sockets))
        return driver

    def _driver(self, name: str, path: Path) -> CsiDriver:
        return CsiDriver(Endpoint(name, path, self._timeouts), self._state / name)

    def _socket(self, name: str) -> Path | None:
        if not _NAME.fullmatch(name):
            return None
        for path in (self._sockets / f"{name}.sock", self._sockets / name / _OWN_SOCKET):
            if _is_socket(path):
                return path
        return None

    def _names(self) -> list[str]:
        try:
            entries = list(islice(self._sockets.iterdir(), _MAX_ENTRIES))
        except OSError:
            return []
        names = {path.stem if path.suffix == ".sock" else path.name for path in entries}
        return sorted(name for name in names if self._socket(name) is not None)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
