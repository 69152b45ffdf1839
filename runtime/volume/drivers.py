"""The drivers that a host has: those that are built in, and what else is found on it."""

import asyncio
import logging
from collections.abc import Sequence
from operator import itemgetter
from typing import Protocol

from api.errors import Code, SwarmError
from runtime.volume.driver import Capabilities, VolumeDriver

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that `usable` waits for drivers: who asks may have leases to renew."""


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

    def __init__(
        self,
        built_in: Sequence[VolumeDriver],
        sources: Sequence[Source] = (),
        patience: float = PATIENCE,
    ) -> None:
        self._built_in = {driver.name: driver for driver in built_in}
        self._sources = sources
        self._patience = patience
        self._answers: dict[str, Capabilities] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def is_built_in(self, name: str) -> bool:
        """Whether it is one of ours."""
        return name in self._built_in

    def built_in(self) -> list[str]:
        """The names of ours."""
        return sorted(self._built_in)

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
        """What works on this host now, by name.

        A driver that does not answer at once holds nobody up: until it has failed, it is as it was
        when it answered last; a new one is told of when it has answered.
        """
        found = dict(self._built_in)
        for source in self._sources:
            for driver in await source.every():
                found.setdefault(driver.name, driver)
        for name, driver in found.items():
            if name not in self._asking:
                self._asking[name] = asyncio.create_task(self._ask(name, driver))
        await asyncio.wait([self._asking[name] for name in found], timeout=self._patience)
        self._answers = {name: self._answers[name] for name in found if name in self._answers}
        return sorted(self._answers.items(), key=itemgetter(0))

    async def close(self) -> None:
        """Asks no driver any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, name: str, driver: VolumeDriver) -> None:
        try:
            self._answers[name] = await driver.capabilities()
        except SwarmError as error:
            self._answers.pop(name, None)
            log.debug("driver %s: %s", name, error)
        finally:
            del self._asking[name]
