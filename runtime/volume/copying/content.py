"""What drivers can do whose volumes are on this host alone: save one, and fill a new one."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, runtime_checkable

from api.errors import Code, SwarmError
from runtime.volume.driver import Volume, VolumeDriver


@runtime_checkable
class Copying(Protocol):
    """A driver that gives out what is in its volumes, and takes it in."""

    def save(self, volume: Volume, title: str, *, live: bool) -> AsyncGenerator[bytes, None]:
        """The archive of it, in pieces; `title`: what people call it. See `streams.save`."""
        ...

    async def fill(
        self, volume: Volume, title: str, pieces: AsyncIterator[bytes], *, devices: bool
    ) -> dict[str, str]:
        """A new volume with what is in an archive, or none; the labels that stand in it.

        One that is there already is left as it is, and nothing is read: it is whole. See
        `streams.fill`.
        """
        ...

    async def sweep(self) -> None:
        """Deletes what `fill` of a process that is gone had begun; harmless at any time."""
        ...


def copying(driver: VolumeDriver) -> Copying:
    """The driver; UNSUPPORTED if it cannot."""
    if isinstance(driver, Copying):
        return driver
    raise SwarmError(
        Code.UNSUPPORTED,
        f"volumes of driver {driver.name} are neither saved nor filled here",
        why="only those of driver local are on one host alone",
        remedy="use what the storage itself has for that",
    )
