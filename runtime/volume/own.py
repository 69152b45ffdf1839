"""The volumes that are a host's own, as Docker's: made by the first container that names them, and
there until they are removed. Anonymous ones go with their container.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from api.errors import Code, SwarmError
from hostkit.clock import Clock
from runtime.volume.copying.content import copying
from runtime.volume.driver import Volume
from runtime.volume.drivers import Drivers
from runtime.volume.locks import Locks
from runtime.volume.records import Records
from runtime.volume.wants import OwnVolume

log = logging.getLogger(__name__)

LOCAL = "local"


class OwnVolumes:
    """Of one host. `load` first."""

    def __init__(self, records: Records, drivers: Drivers, wall: Clock) -> None:
        self._records = records
        self._drivers = drivers
        self._wall = wall
        self._volumes: dict[str, OwnVolume] = {}
        self._locks = Locks()  # a driver that hangs holds up its volume alone

    async def load(self) -> None:
        """Reads what is on record."""
        found = await asyncio.to_thread(self._records.volumes)
        self._volumes = {each.name: each for each in found}

    def every(self) -> list[OwnVolume]:
        """All of them, by name."""
        return sorted(self._volumes.values(), key=lambda each: each.name)

    async def named(self, wanted: OwnVolume) -> OwnVolume:
        """The volume of that name, made if it is not there; REFUSED if another driver made it.

        As in Docker, options and labels are for the making: one that is there keeps its own.
        """
        async with self._locks(wanted.name):
            present = self._volumes.get(wanted.name)
            if present is None:
                return await self._make(wanted)
            if wanted.driver and wanted.driver != present.driver:
                raise SwarmError(
                    Code.REFUSED,
                    f"volume {wanted.name} cannot be used with driver {wanted.driver}",
                    why=f"it is there already, of driver {present.driver}",
                    remedy="use another name, or leave the driver out",
                )
            return present

    async def place(self, name: str) -> str:
        """Where a volume is on the host; empty if its driver says nothing."""
        try:
            driver = await self._drivers.get(self._volumes[name].driver)
            path = (await driver.get(name)).path
        except (KeyError, SwarmError):
            return ""
        return "" if path is None else str(path)

    async def drop(self, name: str) -> None:
        """Removes a volume with its data; NOT_FOUND, or REFUSED while it is mounted."""
        async with self._locks(name):
            present = self._volumes.get(name)
            if present is None:
                raise _unknown(name)
            driver = await self._drivers.get(present.driver)
            await driver.remove(present.volume)
            await asyncio.to_thread(self._records.drop_volume, name)
            del self._volumes[name]

    async def save(self, name: str, *, live: bool) -> AsyncGenerator[bytes, None]:
        """The archive of one; who begins to use it meanwhile breaks it off, but for `live`, if he
        changes anything.
        """
        present = self._volumes.get(name)
        if present is None:
            raise _unknown(name)
        driver = copying(await self._drivers.get(present.driver))
        async with aclosing(driver.save(present.volume, name, live=live)) as pieces:
            async for piece in pieces:
                yield piece

    async def restore(self, name: str, pieces: AsyncIterator[bytes], *, devices: bool) -> OwnVolume:
        """A new volume from an archive, or none; EXISTS if the name is taken."""
        async with self._locks(name):
            if name in self._volumes:
                raise SwarmError(
                    Code.EXISTS,
                    f"this host has a volume {name!r} already",
                    remedy="use another name, or remove it first",
                )
            driver = copying(await self._drivers.get(LOCAL))
            labels = await driver.fill(Volume(name), name, pieces, devices=devices)
            made = OwnVolume(name, LOCAL, labels=labels, created_at=self._wall())
            await asyncio.to_thread(self._records.keep_volume, made)
            self._volumes[name] = made
            return made

    async def drop_of(self, owner: str) -> None:
        """Removes the anonymous volumes of a container; what cannot be removed stays on record, and
        is tried again when the daemon starts.
        """
        for volume in [each for each in self._volumes.values() if each.owner == owner]:
            try:
                await self.drop(volume.name)
            except SwarmError as error:
                log.warning("volume %s of container %s stays: %s", volume.name, owner, error)

    async def _make(self, wanted: OwnVolume) -> OwnVolume:
        made = OwnVolume(
            wanted.name,
            wanted.driver or LOCAL,
            wanted.options,
            wanted.labels,
            wanted.owner,
            self._wall(),
        )
        driver = await self._drivers.get(made.driver)
        await driver.create(made.volume)
        await asyncio.to_thread(self._records.keep_volume, made)
        self._volumes[made.name] = made
        return made


def _unknown(name: str) -> SwarmError:
    return SwarmError(Code.NOT_FOUND, f"this host has no volume {name!r} of its own")
