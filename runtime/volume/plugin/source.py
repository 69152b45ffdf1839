"""The Docker volume plugins of a host, as drivers."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from api.errors import SwarmError
from runtime.volume.plugin import discovery
from runtime.volume.plugin.connection import Connection
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.driver import PluginDriver


class PluginSource:
    """See `runtime.volume.drivers.Source`. `kept`: folders that no plugin may hand out; `but`: with
    what names begin that are none, because they are our own.

    A driver is kept for as long as its plugin is announced, so that each is greeted once.
    """

    def __init__(self, folders: Folders, kept: Sequence[Path] = (), but: str = "") -> None:
        self._folders = folders
        self._kept = tuple(kept)
        self._but = but
        self._drivers: dict[str, PluginDriver] = {}

    async def find(self, name: str) -> PluginDriver | None:
        """The driver of this name, whether it answers or not; None: no file tells of it.

        One that was there is found also while its files are missing: it may be starting anew.
        """
        if self._is_own(name):
            return None
        if name in self._drivers:
            return self._drivers[name]
        try:
            await asyncio.to_thread(discovery.find, name, self._folders)
        except SwarmError:
            return None
        return self._keep(name)

    async def every(self) -> Sequence[PluginDriver]:
        """All that are announced."""
        names = await asyncio.to_thread(discovery.names, self._folders)
        self._drivers = {name: self._keep(name) for name in names if not self._is_own(name)}
        return list(self._drivers.values())

    def _is_own(self, name: str) -> bool:
        return bool(self._but) and name.startswith(self._but)

    def _keep(self, name: str) -> PluginDriver:
        driver = self._drivers.get(name)
        if driver is None:
            driver = PluginDriver(Connection(name, self._folders), kept=self._kept)
            self._drivers[name] = driver
        return driver
