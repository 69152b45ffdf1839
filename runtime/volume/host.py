"""The volumes of one host: which there are, what is mounted for which container, and who keeps it.

A thin shell over drivers, guardians and what is on record. A volume is mounted once, however many
containers use it, and taken away with the last of them. Each step is on record before it is done,
so that a daemon that is killed anywhere takes up what is left. Knows nothing of tasks or managers.

Moments are seconds of CLOCK_BOOTTIME.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.ids import IdSource
from hostkit import cgroup
from hostkit import mount as table
from hostkit.clock import Clock
from runtime.volume.driver import Capabilities, Keeper, Place, Server, VolumeDriver
from runtime.volume.drivers import Drivers
from runtime.volume.guardians import End, GuardianLink, Guardians
from runtime.volume.own import OwnVolumes
from runtime.volume.records import MountRecord, Records
from runtime.volume.subpaths import Subpaths
from runtime.volume.wants import Lease, Want

log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_LONGEST = 1.0, 60.0
_PATIENCE = 5.0
"""Seconds that anybody waits for an unmount; it goes on without him."""
_DEATH = 10.0
"""Seconds in which containers die whose volume is gone."""


@dataclass(slots=True)
class _Held:
    record: MountRecord
    link: GuardianLink | None = None
    lost: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class VolumeHost:
    """`recover` it once before anything else, `close` it last.

    `state`: a folder that survives a reboot, `run`: one that does not; `group`: the control group
    of guardians; `cgroup_of`: that of a container.
    """

    def __init__(
        self,
        *,
        state: Path,
        run: Path,
        group: str,
        drivers: Drivers,
        cgroup_of: Callable[[str], str],
        ids: IdSource,
        wall: Clock,
        boot_id: str,
    ) -> None:
        self._state = state
        self._run = run
        self._drivers = drivers
        self._cgroup_of = cgroup_of
        self._ids = ids
        self._boot_id = boot_id
        self._wall = wall
        self._guardians = Guardians(run / "g", group)
        self._subpaths = Subpaths(run / "p")
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._why: dict[str, str] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._records: Records | None = None
        self._own: OwnVolumes | None = None

    @property
    def own(self) -> OwnVolumes:
        """The volumes that are the host's own."""
        assert self._own is not None  # noqa: S101 - see `recover`
        return self._own

    async def recover(self, alive: Collection[str], present: Collection[str]) -> None:
        """Goes on with what a former daemon left. `alive`: the containers that may run, `present`:
        all that there are.
        """
        self._records = await asyncio.to_thread(Records, self._state / "volumes.db")
        self._own = OwnVolumes(self._records, self._drivers, self._wall)
        await self._own.load()
        await self._subpaths.sweep(alive)
        records = await asyncio.to_thread(self._records.mounts)
        await asyncio.gather(*(self._take_over(record, alive) for record in records))
        for owner in {each.owner for each in self._own.every() if each.owner} - set(present):
            await self.forget(owner)

    async def close(self) -> None:
        """Lets go of everything but the mounts, which stay."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for held in self._held.values():
            if held.link is not None:
                held.link.close()
        await self._guardians.close()
        await self._drivers.close()
        if self._records is not None:
            self._records.close()

    async def usable(self) -> list[tuple[str, Capabilities]]:
        """The drivers that work here, and what they can do."""
        return await self._drivers.usable()

    # --- for containers ---------------------------------------------------------------------

    async def use(self, container: str, want: Want, may: Callable[[], bool] = lambda: True) -> Path:
        """Where the container finds the volume: it is mounted, and stays so until `leave`.

        A guardian knows of the container before that has a control group. `may`: whether the volume
        may still be mounted; once it says no, what `released` has told stays true.
        """
        await self._until_free(want)
        driver = await self._drivers.get(want.driver)
        async with self._lock(want.key):
            held = self._held.get(want.key)
            if not may():
                raise SwarmError(Code.REFUSED, f"volume {want.volume.name} was taken back")
            if held is None:
                held = self._held[want.key] = _Held(self._new(container, want))
            elif not _is_usable(held):
                raise _not_free(want, held)
            try:
                await self._keep(held, users={*held.record.users, container})
                if not held.record.path:
                    await self._mount(held, want, driver)
                await self._tell_users(held)
            except BaseException:
                await self._part(held, container)
                raise
            return Path(held.record.path)

    async def _until_free(self, want: Want) -> None:
        held = self._held.get(want.key)
        if held is not None and not _is_usable(held):
            try:
                async with asyncio.timeout(_PATIENCE):
                    await held.over.wait()
            except TimeoutError:
                raise _not_free(want, held) from None

    async def leave(self, container: str) -> None:
        """The container has ended: what it alone used is unmounted. What cannot be yet is tried
        again and again, and is not waited for any longer.
        """
        await self._subpaths.drop(container)
        mine = [held for held in self._held.values() if container in held.record.users]
        for held in mine:
            async with self._lock(held.record.key):
                if container in held.record.users:
                    await self._part(held, container)
        over = [asyncio.ensure_future(h.over.wait()) for h in mine if not h.record.users]
        if over:
            _, pending = await asyncio.wait(over, timeout=_PATIENCE)
            for waiter in pending:
                waiter.cancel()

    async def forget(self, container: str) -> None:
        """The container is gone: its anonymous volumes go with it."""
        await self.leave(container)
        self._why.pop(container, None)
        await self.own.drop_of(container)

    async def subpath(self, container: str, path: Path, below: str) -> Path:
        """A folder or file within a volume, for that container; INVALID if there is none."""
        return await self._subpaths.take(container, path, below)

    def why(self, container: str) -> str:
        """Why a volume of the container is gone, if one is."""
        return self._why.get(container, "")

    # --- leases -----------------------------------------------------------------------------

    def renew(self, key: str, until: float) -> None:
        """The lease lasts until then."""
        held = self._held.get(key)
        if held is not None and held.link is not None:
            held.link.renew(until)

    def mounted_keys(self) -> list[str]:
        """What is mounted, or not unmounted yet."""
        return list(self._held)

    def is_built_in(self, driver: str) -> bool:
        """Whether it is one of ours."""
        return self._drivers.is_built_in(driver)

    def built_in(self) -> list[str]:
        """The names of the drivers that are ours."""
        return self._drivers.built_in()

    async def driver(self, name: str) -> VolumeDriver:
        """A driver of this host; NOT_FOUND."""
        return await self._drivers.get(name)

    async def released(self, key: str) -> None:
        """Returns once nothing here touches it any more; its containers have to end for that."""
        held = self._held.get(key)
        if held is not None:
            await held.over.wait()

    # --- mounting ---------------------------------------------------------------------------

    def _new(self, container: str, want: Want) -> MountRecord:
        return MountRecord(
            self._ids(), want.key, want.driver, want.volume, self._boot_id, (container,)
        )

    async def _mount(self, held: _Held, want: Want, driver: VolumeDriver) -> None:
        can = await driver.capabilities()
        guarded = want.lease is not None or can.ends_with_process
        if guarded:
            await self._keep(held, guarded=True)
            await self._guard(held, want.lease)
            await self._tell_users(held)
        place = self._place(held)
        await asyncio.to_thread(_make, place.target)
        await driver.create(want.volume)
        mounted = await driver.mount(want.volume, place)
        await self._keep(held, path=str(mounted.path))

    async def _guard(self, held: _Held, lease: Lease | None) -> None:
        id = held.record.id
        held.link = await self._guardians.start(
            id,
            self._target(id),
            until=None if lease is None else lease.until,
            term=0.0 if lease is None else lease.term,
        )
        self._watch(held)

    def _watch(self, held: _Held) -> None:
        link = held.link
        assert link is not None  # noqa: S101 - it was just set

        def gone(end: "asyncio.Future[End]") -> None:
            if not end.cancelled() and self._held.get(held.record.key) is held:
                self._spawn(self._lose(held, end.result()))

        link.gone.add_done_callback(gone)

    async def _lose(self, held: _Held, end: End) -> None:
        """The guardian is gone: whatever still uses the volume ends, and the mount with it."""
        if held.lost or not held.record.users:
            return  # known, or being unmounted anyway
        name = held.record.volume.name
        held.lost = f"volume {name} was let go: {end.why}"
        log.warning("%s", held.lost)
        for container in held.record.users:
            self._why[container] = held.lost
        await asyncio.to_thread(self._kill, held.record)

    def _kill(self, record: MountRecord) -> None:
        hierarchies = cgroup.detect()
        for container in record.users:
            if not cgroup.kill(hierarchies, self._cgroup_of(container), _DEATH):
                log.error("container %s does not die, and uses a volume it has lost", container)
        target = self._target(record.id)
        with contextlib.suppress(OSError):
            while table.unmount(target):
                pass
            target.rmdir()

    # --- unmounting -------------------------------------------------------------------------

    async def _part(self, held: _Held, container: str) -> None:
        """The container needs it no more."""
        await self._keep(held, users=set(held.record.users) - {container})
        if held.record.users:
            await self._tell_users(held)
        else:
            self._spawn(self._end_at_last(held))

    async def _end_at_last(self, held: _Held) -> None:
        delay = _RETRY_FIRST
        while not held.over.is_set():
            async with self._lock(held.record.key):
                try:
                    await self._end(held)
                    return
                except SwarmError as error:
                    log.warning("volume %s: %s", held.record.volume.name, error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RETRY_LONGEST)

    async def _end(self, held: _Held) -> None:
        record = held.record
        driver = await self._drivers.get(record.driver)
        if held.link is not None:
            await held.link.leave()
        await driver.unmount(record.volume, self._place(held))
        if held.link is not None:
            await held.link.dismiss()
        await asyncio.to_thread(self._guardians.forget, record.id)
        await asyncio.to_thread(self._store.drop_mount, record.id)
        del self._held[record.key]
        held.over.set()

    async def _take_over(self, record: MountRecord, alive: Collection[str]) -> None:
        users = tuple(each for each in record.users if each in alive)
        held = self._held[record.key] = _Held(record)
        async with self._lock(record.key):
            if record.guarded and record.boot == self._boot_id:
                held.link = await self._guardians.adopt(record.id)
            if held.link is not None:
                self._watch(held)
            elif record.guarded and users:
                await self._lose(held, self._guardians.end(record.id))
            await self._keep(held, users=set(users))
            if users:
                await self._tell_users(held)
            else:
                self._spawn(self._end_at_last(held))

    # --- small parts ------------------------------------------------------------------------

    @property
    def _store(self) -> Records:
        assert self._records is not None  # noqa: S101 - see `recover`
        return self._records

    async def _keep(self, held: _Held, **changes: Any) -> None:  # noqa: ANN401
        if "users" in changes:
            changes["users"] = tuple(sorted(changes["users"]))
        held.record = replace(held.record, **changes)
        await asyncio.to_thread(self._store.keep_mount, held.record)

    async def _tell_users(self, held: _Held) -> None:
        if held.link is not None and not held.lost:
            await held.link.users([self._cgroup_of(each) for each in held.record.users])

    def _target(self, id: str) -> Path:
        return self._guardians.folder(id) / "data"

    def _place(self, held: _Held) -> Place:
        keeper: Keeper = held.link or _Nobody()
        return Place(held.record.id, self._target(held.record.id), keeper)

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(_log_crash)


class _Nobody:
    """The Keeper of a mount that has none."""

    async def serve(self, server: Server, target: Path, deadline: float) -> int:
        """See Keeper."""
        raise SwarmError(Code.INTERNAL, f"{server.command[0]} has nobody who would keep it")


def _is_usable(held: _Held) -> bool:
    return bool(held.record.users) and not held.lost


def _not_free(want: Want, held: _Held) -> SwarmError:
    return SwarmError(
        Code.EXHAUSTED,
        f"volume {want.volume.name} is not free yet on this host",
        why=held.lost or "it is being unmounted",
    )


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)


def _log_crash(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a volume is not seen to any more", exc_info=error)


def containers_of(states: Sequence[Any]) -> tuple[set[str], set[str]]:
    """Of the driver's containers those that may run, and all."""
    return {each.id for each in states if each.phase != "exited"}, {each.id for each in states}
