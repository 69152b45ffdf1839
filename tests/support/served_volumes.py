"""Volumes of a host, served on a socket as a plugin of Docker would be."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from runtime.volume.driver import Scope
from runtime.volume.drivers import Drivers
from runtime.volume.host import VolumeHost
from runtime.volume.local import LocalDriver
from runtime.volume.plugin.connection import Connection
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.driver import PluginDriver
from runtime.volume.plugin_server.http import HttpServer
from runtime.volume.plugin_server.served import Served
from runtime.volume.plugin_server.service import MIME, PluginService
from runtime.volume.plugin_server.shelf import HostShelf


@dataclass
class Server:
    """What is served, and a client of it."""

    host: VolumeHost
    socket: Path
    client: PluginDriver
    drivers: Drivers


Serve = Callable[[], AbstractAsyncContextManager[Server]]


def server_in(folder: Path) -> Serve:
    """Starts the daemon's part; once more, and it goes on where the former left off."""
    ids = (f"id{number}" for number in count())

    @contextlib.asynccontextmanager
    async def started() -> AsyncIterator[Server]:
        drivers = Drivers([LocalDriver(folder / "volumes", lambda: 0.0)])
        host = VolumeHost(
            state=folder / "state",
            run=folder / "v",
            group="/test-volumes",
            drivers=drivers,
            cgroup_of=lambda container: f"/test-volumes/{container}",
            ids=lambda: next(ids),
            wall=lambda: 0.0,
            boot_id="boot",
        )
        served = Served(folder / "state" / "served.json")
        await host.recover(served.users(), served.users())
        service = PluginService(HostShelf("local", host, served), Scope.LOCAL)
        socket = folder / "run" / "swarm-local.sock"
        server = HttpServer(socket, service.answer, mime=MIME, patience=30.0)
        await server.start()
        client = PluginDriver(Connection("swarm-local", Folders(folder / "run", ())))
        try:
            yield Server(host, socket, client, drivers)
        finally:
            await server.stop()
            await host.close()

    return started
