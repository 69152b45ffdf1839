"""What drivers have in common whose volumes are folders of some storage that others look after.

They make and delete nothing there: to make a volume is to note where it is.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from hostkit.clock import Clock
from runtime.volume import mounting
from runtime.volume.definitions import Definitions, known
from runtime.volume.driver import Known, Place, Volume
from runtime.volume.unsupported import no_fence


class SharedDriver(ABC):
    """The part of a VolumeDriver that is the same for all; `root`: where it notes its volumes."""

    name: str
    unfenced: str
    """Why it cannot shut a host out."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._volumes = Definitions(self.name, root, clock)

    @abstractmethod
    def check(self, volume: Volume) -> None:
        """INVALID if its options are wrong."""

    async def create(self, volume: Volume) -> None:
        """See VolumeDriver. What other options say from now on, counts at the next mount."""
        self.check(self._volumes.whole(volume))
        if volume.options or self._volumes.find(volume.name) is None:
            self._volumes.keep(volume)

    async def remove(self, volume: Volume) -> None:
        """See VolumeDriver. Nothing of the storage is deleted."""
        shutil.rmtree(self._volumes.folder(volume.name), ignore_errors=True)

    async def unmount(self, volume: Volume, place: Place) -> None:
        """See VolumeDriver."""
        await mounting.unmount(place.target)

    async def get(self, name: str) -> Known:
        """See VolumeDriver."""
        return known(self._volumes.get(name), None)

    async def list(self) -> Sequence[Known]:
        """See VolumeDriver."""
        return [known(each, None) for each in self._volumes.every()]

    async def fence(self, volume: Volume, host_id: str) -> None:
        """See VolumeDriver."""
        raise no_fence(self.name, self.unfenced)
