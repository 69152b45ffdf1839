"""Folders and files within volumes, each bound to a place of its own for one container.

The path is walked by a process with a deadline, which follows links only within the volume: what a
container makes of its volume leads nobody out of it (`subpath_child`).
"""

import asyncio
import logging
import sys
from collections.abc import Collection
from pathlib import Path

from api.errors import Code, SwarmError, invalid
from hostkit import mount
from hostkit.process import run

log = logging.getLogger(__name__)

_PROJECT = Path(__file__).resolve().parents[2]
_DEADLINE = 20.0
_NOT_THERE = 2


class Subpaths:
    """Those of one host, below a folder that does not survive a reboot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def take(self, container: str, volume: Path, below: str) -> Path:
        """Where the container finds it; INVALID if there is no such thing in the volume."""
        target = await asyncio.to_thread(self._new, container)
        argv = [sys.executable, "-P", "-m", "runtime.volume.subpath_child"]
        done = await run(
            [*argv, str(volume), below, str(target)],
            timeout=_DEADLINE,
            env={"PYTHONPATH": str(_PROJECT)},
            check=False,
            cwd="/",
        )
        if done.code == 0:
            return target
        said = done.err.decode(errors="replace").strip()
        if done.code == _NOT_THERE:
            raise invalid(
                "volume_subpath",
                f"{below!r} is not in the volume",
                why=said,
                remedy="make it there first",
            )
        raise SwarmError(Code.UNAVAILABLE, f"{below!r} of a volume cannot be mounted", why=said)

    async def drop(self, container: str) -> None:
        """The container needs them no more; few have any."""
        if self._place(container).exists():
            await asyncio.to_thread(self._drop, container)

    async def sweep(self, alive: Collection[str]) -> None:
        """Takes away those of containers that are gone."""
        for container in await asyncio.to_thread(self._containers):
            if container not in alive:
                await self.drop(container)

    def _place(self, container: str) -> Path:
        return self._folder / container

    def _new(self, container: str) -> Path:
        folder = self._place(container)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / str(len(list(folder.iterdir())))

    def _containers(self) -> list[str]:
        if not self._folder.exists():
            return []
        return [entry.name for entry in self._folder.iterdir()]

    def _drop(self, container: str) -> None:
        try:
            mount.clear(self._place(container))
        except OSError as error:
            log.warning("a subpath of a volume stays for container %s: %s", container, error)
