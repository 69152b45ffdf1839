"""The driver local: folders of this host, or what mount(8) makes of `type`, `device` and `o`.

A folder is a subvolume where the file system is btrfs, so that it can be snapshot by itself. The
names of its places are Docker's: NAME/_data below one folder.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from api.errors import Code, SwarmError, invalid
from hostkit.clock import Clock
from hostkit.durable import sync_folder
from hostkit.mount import is_mounted
from hostkit.process import run
from hostkit.removal import remove_tree
from runtime.volume import local_options, mounting
from runtime.volume.copying import streams
from runtime.volume.definitions import Definitions, known
from runtime.volume.driver import Capabilities, Known, Mounted, Place, Scope, Volume
from runtime.volume.local_options import Bound
from runtime.volume.locks import Locks
from runtime.volume.unsupported import no_fence

log = logging.getLogger(__name__)

NAME = "local"
_DATA = "_data"
_FILLING = "_filling"
"""What is being filled: nobody knows of that volume before it is whole."""
_DEADLINE = 20.0
_DELETION = 600.0
"""Seconds for the removal of a subvolume; its content goes behind the scenes."""
_TOP_OF_SUBVOLUME = 256
"""The inode number (btrfs-subvolume(8))."""


class LocalDriver:
    """VolumeDriver over folders below `root`."""

    name = NAME

    def __init__(self, root: Path, clock: Clock) -> None:
        self._volumes = Definitions(NAME, root, clock)
        self._filling = Locks()

    async def capabilities(self) -> Capabilities:
        """See VolumeDriver."""
        return Capabilities(Scope.LOCAL, deletes=True)

    async def create(self, volume: Volume) -> None:
        """See VolumeDriver."""
        local_options.parse(volume.options)
        if volume.block:
            raise invalid("block", "driver local makes folders, and no devices")
        former = self._volumes.find(volume.name)
        if former is not None and former.options != dict(volume.options):
            raise invalid(
                "driver_options",
                f"volume {volume.name} is there already, with other options",
                remedy="use it without options, or another name",
            )
        self._volumes.keep(volume)
        path = self._path(volume.name)
        if not is_mounted(path):
            await self._make(path)

    async def remove(self, volume: Volume) -> None:
        """See VolumeDriver."""
        folder = self._volumes.folder(volume.name)
        if not folder.exists():
            return
        if is_mounted(self._path(volume.name)):
            raise SwarmError(Code.REFUSED, f"volume {volume.name} is mounted")
        for path in (self._path(volume.name), folder / _FILLING, folder):
            await _discard(path, volume.name)

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """See VolumeDriver. It has its own place: two mounts of one volume are the same one."""
        made = self._volumes.get(volume.name)
        path, bound = self._path(volume.name), local_options.parse(made.options)
        if isinstance(bound, Bound):
            if bound.kind and not await mounting.has_file_system(bound.kind):
                raise SwarmError(
                    Code.UNSUPPORTED,
                    f"volume {volume.name} cannot be mounted",
                    why=f"this kernel has no file system {bound.kind}",
                )
            await mounting.mount(bound.words, path)
        return Mounted(path)

    async def unmount(self, volume: Volume, place: Place) -> None:
        """See VolumeDriver."""
        await mounting.unmount(self._path(volume.name))

    async def get(self, name: str) -> Known:
        """See VolumeDriver."""
        return known(self._volumes.get(name), self._path(name))

    async def list(self) -> Sequence[Known]:
        """See VolumeDriver."""
        return [known(each, self._path(each.name)) for each in self._volumes.every()]

    async def fence(self, volume: Volume, host_id: str) -> None:
        """See VolumeDriver."""
        raise no_fence(NAME, "its volumes are on one host alone")

    async def save(self, volume: Volume, title: str, *, live: bool) -> AsyncGenerator[bytes, None]:
        """See Copying."""
        made = self._volumes.get(volume.name)
        if isinstance(local_options.parse(made.options), Bound):
            raise SwarmError(
                Code.UNSUPPORTED,
                f"volume {title} cannot be saved",
                why="its options say that its data is elsewhere: it is mounted from there",
                remedy="copy it where it is",
            )
        async with aclosing(
            streams.save(self._path(volume.name), title, made.labels, live=live)
        ) as pieces:
            async for piece in pieces:
                yield piece

    async def fill(
        self, volume: Volume, title: str, pieces: AsyncIterator[bytes], *, devices: bool
    ) -> dict[str, str]:
        """See Copying."""
        async with self._filling(volume.name):
            former = self._volumes.find(volume.name)
            if former is not None:
                return former.labels
            folder = self._volumes.folder(volume.name)
            filling = folder / _FILLING
            await _discard(folder, volume.name)
            folder.mkdir(mode=0o711, parents=True)
            try:
                await self._make(filling)
                labels = await streams.fill(filling, title, pieces, devices=devices)
                filling.rename(self._path(volume.name))
                sync_folder(folder)
                self._volumes.keep(replace(volume, labels=labels))
            except BaseException:
                await asyncio.shield(self.remove(volume))
                raise
            return labels

    async def sweep(self) -> None:
        """See Copying."""
        for name in self._volumes.names():
            async with self._filling(name):
                folder = self._volumes.folder(name)
                if (folder / _FILLING).exists():
                    log.info("what had been begun to be filled as volume %s is deleted", name)
                    await _discard(folder / _FILLING, name)
                    if self._volumes.find(name) is None:
                        await self.remove(Volume(name))

    def _path(self, name: str) -> Path:
        return self._volumes.folder(name) / _DATA

    async def _make(self, path: Path) -> None:
        """The folder of a volume, if it is not there. The image says later whose it is."""
        if _is_folder(path):
            return
        if shutil.which("btrfs") and await _file_system(path.parent) == "btrfs":
            await run(["btrfs", "subvolume", "create", str(path)], timeout=_DEADLINE)
        _make_folder(path)


async def _file_system(path: Path) -> str:
    done = await run(["stat", "-f", "-c", "%T", str(path)], timeout=_DEADLINE)
    return done.text


async def _is_subvolume(path: Path) -> bool:
    """Whether it is the top of one, and not just a folder of that file system."""
    if not shutil.which("btrfs") or not _is_folder(path) or _inode(path) != _TOP_OF_SUBVOLUME:
        return False
    return await _file_system(path) == "btrfs"


async def _discard(path: Path, name: str) -> None:
    """Deletes a folder of the volume with all that is in it, if it is there."""
    if await _is_subvolume(path):
        await run(["btrfs", "subvolume", "delete", str(path)], timeout=_DELETION)
    try:
        await asyncio.to_thread(remove_tree, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SwarmError(
            Code.UNAVAILABLE, f"volume {name} cannot be removed", why=str(error)
        ) from None


def _is_folder(path: Path) -> bool:
    return path.is_dir()


def _inode(path: Path) -> int:
    return path.stat().st_ino


def _make_folder(path: Path) -> None:
    """Open to all for reading, as Docker's."""
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
