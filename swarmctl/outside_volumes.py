"""Volumes that cross the border of this daemon: drivers of others for us, and ours for Docker."""

import asyncio
from pathlib import Path

from runtime.volume.csi.source import CsiSource
from runtime.volume.driver import Scope
from runtime.volume.drivers import Source
from runtime.volume.host import VolumeHost
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.source import PluginSource
from runtime.volume.plugin_server.http import HttpServer
from runtime.volume.plugin_server.served import Served
from runtime.volume.plugin_server.service import MIME, PluginService
from runtime.volume.plugin_server.shelf import HostShelf
from swarmctl.settings import Settings

PREFIX = "swarm-"
"""Of the names under which Docker finds our drivers, which are not taken for others'."""


def sources(settings: Settings) -> tuple[Source, ...]:
    """Where drivers are found that are not built in."""
    state, run = settings.state_dir, settings.run_dir
    plugins = PluginSource(Folders(settings.plugin_dir), kept=(state, run), but=PREFIX)
    return (plugins, CsiSource(run / "csi", state / "csi"))


class VolumesForDocker:
    """The drivers that are built in, each on a socket of its own, where a folder is set for that.

    `users` are containers of others: to the host of volumes they live until Docker says otherwise.
    """

    def __init__(self, settings: Settings, host: VolumeHost) -> None:
        self._folder = settings.serve_volumes_in
        self._file = settings.state_dir / "served-volumes.json"
        self._host = host
        self._served: Served | None = None
        self._servers: list[HttpServer] = []

    async def users(self) -> set[str]:
        """Who used volumes when the daemon last ran; REFUSED if that cannot be read."""
        if self._served is None:
            self._served = await asyncio.to_thread(Served, self._file)
        return set(self._served.users())

    async def start(self) -> None:
        """Serves, once the host of volumes has recovered. UNAVAILABLE if a socket cannot be had."""
        if self._folder is None:
            return
        await self.users()
        assert self._served is not None  # noqa: S101 - just read
        for driver in self._host.built_in():
            shelf = HostShelf(driver, self._host, self._served)
            # The data may be reached from elsewhere; that there is such a volume, this host knows.
            service = PluginService(shelf, Scope.LOCAL)
            server = HttpServer(self._socket(self._folder, driver), service.answer, mime=MIME)
            self._servers.append(server)
            await server.start()

    async def stop(self) -> None:
        """Serves no more; what is mounted stays."""
        for server in self._servers:
            await server.stop()
        self._servers.clear()

    def _socket(self, folder: Path, driver: str) -> Path:
        return folder / f"{PREFIX}{driver}.sock"
