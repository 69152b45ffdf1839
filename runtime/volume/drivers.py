"""The drivers that a host has: those that are built in, and what else is found on it."""

import logging
from collections.abc import Sequence
from typing import Protocol

from api.errors import Code, SwarmError
from runtime.volume.driver import Capabilities, VolumeDriver

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where drivers are found that are not built in, as plugins are."""

    async def find(self, name: str) -> VolumeDriver | None:
        """The driver of this name, or None; what is silent is none, and says so in the log."""
        ...

    async def every(self) -> Sequence[VolumeDriver]:
        """All that are there now."""
        ...


class Drivers:
    """By name; those that are built in win."""

    def __init__(self, built_in: Sequence[VolumeDriver], sources: Sequence[Source] = ()) -> None:
        self._built_in = {driver.name: driver for driver in built_in}
        self._sources = sources

    def is_built_in(self, name: str) -> bool:
        """Whether it is one of ours."""
        return name in self._built_in

    async def get(self, name: str) -> VolumeDriver:
        """The driver; NOT_FOUND."""
        found = self._built_in.get(name)
        for source in self._sources if found is None else ():
            found = found or await source.find(name)
        if found is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"this host has no driver of volumes {name!r}",
                why=f"built in are {', '.join(self._built_in)}, and no plugin of that name is here",
                remedy="install the plugin on this host, or use another driver",
            )
        return found

    async def usable(self) -> list[tuple[str, Capabilities]]:
        """What works on this host now, by name."""
        found = dict(self._built_in)
        for source in self._sources:
            for driver in await source.every():
                found.setdefault(driver.name, driver)
        usable = []
        for name, driver in sorted(found.items()):
            try:
                usable.append((name, await driver.capabilities()))
            except SwarmError as error:
                log.debug("driver %s: %s", name, error)
        return usable
