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
from runtime.volume.driver import Volume, VolumeDriver
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
            driver = await self._drivers.get(LOCAL)
            if await _has(driver, name):
                raise _taken(name)
            labels = await copying(driver).fill(Volume(name), name, pieces, devices=devices)
            made = OwnVolume(name, LOCAL, labels=labels, created_at=self._wall())
            self._volumes[name] = made
            try:
                await asyncio.to_thread(self._records.keep_volume, made)
            except Exception:
                del self._volumes[name]
                await driver.remove(made.volume)
                raise
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
        """If it is broken off the volume stays on record: the driver may have made it by then."""
        made = OwnVolume(
            wanted.name,
            wanted.driver or LOCAL,
            wanted.options,
            wanted.labels,
            wanted.owner,
            self._wall(),
        )
        driver = await self._drivers.get(made.driver)
        self._volumes[made.name] = made
        try:
            await asyncio.to_thread(self._records.keep_volume, made)
            await driver.create(made.volume)
        except Exception:
            del self._volumes[made.name]
            await asyncio.to_thread(self._records.drop_volume, made.name)
            raise
        return made


async def _has(driver: VolumeDriver, name: str) -> bool:
    try:
        await driver.get(name)
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return False
    return True


def _taken(name: str) -> SwarmError:
    """The driver has data under that name, of which nothing is on record."""
    return SwarmError(
        Code.EXISTS,
        f"there is data of a volume {name!r} already",
        why=f"driver {LOCAL} has it on this host, though it is none of the host's own volumes",
        remedy=f"use another name; or take it over by using a volume {name} in a container, and "
        "remove it",
    )


def _unknown(name: str) -> SwarmError:
    return SwarmError(Code.NOT_FOUND, f"this host has no volume {name!r} of its own")
