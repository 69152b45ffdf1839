"""One volume that is mounted on a host, or about to be, or about not to be any more: its steps.

Each is on record before it is done, and may be repeated. Who needs the volume, and when it goes, is
the affair of `host`, which lets one step be done at a time.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from hostkit import cgroup
from hostkit import mount as table
from runtime.volume.driver import Keeper, Place, Server, VolumeDriver
from runtime.volume.guardians import End, GuardianLink, Guardians
from runtime.volume.records import MountRecord, Records
from runtime.volume.wants import Lease, Want

log = logging.getLogger(__name__)

_DEATH = 10.0
"""Seconds in which containers die whose volume is gone."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all mounts of a host share. `cgroup_of`: the control group of a container."""

    records: Records
    guardians: Guardians
    cgroup_of: Callable[[str], str]
    boot_id: str


class HeldMount:
    """`lost`: why it is dead, if it is. `over` is set once nothing is left of it."""

    def __init__(self, record: MountRecord, around: Surroundings) -> None:
        self.record = record
        self.lost = ""
        self.over = asyncio.Event()
        self.lock = asyncio.Lock()
        self._around = around
        self._link: GuardianLink | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a further container may use it."""
        return bool(self.record.users) and not self.lost

    def close(self) -> None:
        """Lets go of everything but the mount."""
        if self._link is not None:
            self._link.close()

    def renew(self, until: float) -> None:
        """The lease lasts until then."""
        if self._link is not None:
            self._link.renew(until)

    async def keep_users(self, users: set[str]) -> None:
        """These containers need it; the guardian knows before they may touch it. What is lost has
        none any more.
        """
        await self._keep(users=tuple(sorted(users)))
        if self._link is not None and not self.lost:
            groups = [self._around.cgroup_of(each) for each in self.record.users]
            await self._link.users(groups)

    async def mount(self, want: Want, driver: VolumeDriver, gone: Callable[[End], None]) -> None:
        """Mounts it, under a guardian if it may have to end by itself; `gone`: hears of its end."""
        can = await driver.capabilities()
        if want.lease is not None or can.ends_with_process:
            await self._keep(guarded=True)
            await self._guard(want.lease)
            self._watch(gone)
            await self.keep_users(set(self.record.users))
        place = self._place()
        # A block device comes to be at its place as a file, which its driver makes.
        await asyncio.to_thread(_make, place.target.parent if want.volume.block else place.target)
        await driver.create(want.volume)
        mounted = await driver.mount(want.volume, place)
        await self._keep(path=str(mounted.path))

    async def take_over(self, gone: Callable[[End], None]) -> End | None:
        """Finds the guardian that a former daemon started; why it is gone, if it is."""
        if not self.record.guarded:
            return None
        await self._adopt()
        if self._link is None:
            return self._around.guardians.end(self.record.id)
        self._watch(gone)
        return None

    def lose(self, end: End) -> None:
        """The guardian is gone: no container gets it any more."""
        self.lost = f"volume {self.record.volume.name} was let go: {end.why}"
        log.warning("%s", self.lost)

    async def kill(self) -> None:
        """Ends the containers that use it, and takes the mount away."""
        await asyncio.to_thread(self._kill)

    async def end(self, driver: VolumeDriver) -> None:
        """Unmounts it and forgets it; SwarmError if that cannot be, and then it is as it was."""
        await self._adopt()  # the start of its guardian may have been broken off
        if self._link is not None:
            await self._link.leave()
        await driver.unmount(self.record.volume, self._place())
        if self._link is not None:
            await self._link.dismiss()
        await asyncio.to_thread(self._around.guardians.forget, self.record.id)
        await asyncio.to_thread(self._around.records.drop_mount, self.record.id)

    async def _keep(self, **changes: Any) -> None:  # noqa: ANN401 - fields of the record
        self.record = replace(self.record, **changes)
        await asyncio.to_thread(self._around.records.keep_mount, self.record)

    async def _guard(self, lease: Lease | None) -> None:
        self._link = await self._around.guardians.start(
            self.record.id,
            self._target,
            until=None if lease is None else lease.until,
            term=0.0 if lease is None else lease.term,
        )

    async def _adopt(self) -> None:
        here = self.record.guarded and self.record.boot == self._around.boot_id
        if here and self._link is None:
            self._link = await self._around.guardians.adopt(self.record.id)

    def _watch(self, gone: Callable[[End], None]) -> None:
        assert self._link is not None  # noqa: S101 - it was just set

        def tell(end: "asyncio.Future[End]") -> None:
            if not end.cancelled():
                gone(end.result())

        self._link.gone.add_done_callback(tell)

    def _kill(self) -> None:
        hierarchies = cgroup.detect()
        for container in self.record.users:
            if not cgroup.kill(hierarchies, self._around.cgroup_of(container), _DEATH):
                log.error("container %s does not die, and uses a volume it has lost", container)
        with contextlib.suppress(OSError):
            while table.unmount(self._target):
                pass
            self._target.rmdir()

    @property
    def _target(self) -> Path:
        return self._around.guardians.folder(self.record.id) / "data"

    def _place(self) -> Place:
        keeper: Keeper = self._link or _Nobody()
        return Place(self.record.id, self._target, keeper)


class _Nobody:
    """The Keeper of a mount that has none."""

    async def serve(self, server: Server, target: Path, deadline: float) -> int:
        """See Keeper."""
        raise SwarmError(Code.INTERNAL, f"{server.command[0]} has nobody who would keep it")


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
