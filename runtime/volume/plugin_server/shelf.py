"""The volumes that are this host's own and of one driver, for users outside.

They are the same volumes, and the same mounts, that containers of this host have.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from api.errors import Code, SwarmError
from runtime.volume.driver import Known
from runtime.volume.host import VolumeHost
from runtime.volume.locks import Locks
from runtime.volume.plugin_server.served import Served, Use
from runtime.volume.plugin_server.service import no_such_volume
from runtime.volume.wants import OwnVolume, Want, own_key


class HostShelf:
    """See `service.Shelf`."""

    def __init__(self, driver: str, host: VolumeHost, served: Served) -> None:
        self._driver = driver
        self._host = host
        self._served = served
        self._locks = Locks()

    async def create(self, name: str, options: Mapping[str, str]) -> None:
        """Makes a volume of the host's own; REFUSED if another driver has one of that name."""
        await self._host.own.named(OwnVolume(name, self._driver, dict(options)))

    async def remove(self, name: str) -> None:
        """Removes it, unless somebody uses it, here or outside."""
        own = self._own(name)
        if self._served.of(self._driver, name):
            raise SwarmError(Code.REFUSED, f"volume {name} is in use")
        await self._host.drop(own.name)

    async def mount(self, name: str, id: str) -> Path:
        """On record before it is done: after a crash it is still known who uses it."""
        own = self._own(name)
        use = Use(self._driver, name, id)
        async with self._locks(name):
            await asyncio.to_thread(self._served.keep, use)
            try:
                want = Want(own_key(name), own.driver, own.volume)
                path = await self._host.use(use.user, want)
            except BaseException:
                await asyncio.to_thread(self._served.drop, use)
                raise
            await asyncio.to_thread(self._served.keep, use, str(path))
            return path

    async def unmount(self, name: str, id: str) -> None:
        """The mount goes with its last user."""
        own = self._own(name)
        use = Use(self._driver, own.name, id)
        async with self._locks(name):
            await self._host.leave(use.user)
            await asyncio.to_thread(self._served.drop, use)

    async def every(self) -> Sequence[Known]:
        """Those of this driver that have a name; anonymous ones belong to a container of ours."""
        return [self._known(own) for own in self._host.own.every() if self._is_ours(own)]

    def _is_ours(self, own: OwnVolume) -> bool:
        return own.driver == self._driver and not own.owner

    def _own(self, name: str) -> OwnVolume:
        for own in self._host.own.every():
            if own.name == name and self._is_ours(own):
                return own
        raise no_such_volume(name)

    def _known(self, own: OwnVolume) -> Known:
        paths = [path for path in self._served.of(self._driver, own.name).values() if path]
        created = datetime.fromtimestamp(own.created_at, UTC).isoformat(timespec="seconds")
        return Known(
            own.name, Path(paths[0]) if paths else None, created.replace("+00:00", "Z"), own.options
        )
