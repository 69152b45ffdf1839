"""The volumes of one host: which there are, and what is mounted for which container.

A thin shell over drivers, guardians and what is on record. A volume is mounted once, however many
containers use it, and taken away with the last of them. Knows nothing of tasks or managers.

Moments are seconds of CLOCK_BOOTTIME.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.ids import IdSource
from hostkit.clock import Clock
from runtime.driver import ContainerState
from runtime.volume.copying.content import Copying
from runtime.volume.driver import Capabilities, VolumeDriver
from runtime.volume.drivers import Drivers
from runtime.volume.guardians import End, Guardians
from runtime.volume.held import HeldMount, Surroundings
from runtime.volume.own import OwnVolumes
from runtime.volume.records import MountRecord, Records
from runtime.volume.subpaths import Subpaths
from runtime.volume.wants import Want, own_key

log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_LONGEST = 1.0, 60.0
_PATIENCE = 5.0
"""Seconds that anybody waits for an unmount; it goes on without him."""


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
        self._drivers = drivers
        self._cgroup_of = cgroup_of
        self._ids = ids
        self._boot_id = boot_id
        self._wall = wall
        self._guardians = Guardians(run / "g", group)
        self._subpaths = Subpaths(run / "p")
        self._held: dict[str, HeldMount] = {}
        self._why: dict[str, str] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._left = asyncio.Event()
        self._around: Surroundings | None = None
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
        records = await asyncio.to_thread(Records, self._state / "volumes.db")
        self._around = Surroundings(records, self._guardians, self._cgroup_of, self._boot_id)
        self._own = OwnVolumes(records, self._drivers, self._wall)
        await self._own.load()
        await self._subpaths.sweep(alive)
        found = await asyncio.to_thread(records.mounts)
        await asyncio.gather(*(self._take_over(record, alive) for record in found))
        for name in self._drivers.built_in():
            driver = await self._drivers.get(name)
            if isinstance(driver, Copying):
                self._spawn(driver.sweep())
        for owner in {each.owner for each in self._own.every() if each.owner} - set(present):
            self._spawn(self.forget(owner))  # the start of the daemon waits for no driver

    async def close(self) -> None:
        """Lets go of everything but the mounts, which stay."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for held in self._held.values():
            held.close()
        await self._guardians.close()
        await self._drivers.close()
        if self._around is not None:
            self._around.records.close()

    # --- drivers ----------------------------------------------------------------------------

    async def usable(self) -> list[tuple[str, Capabilities]]:
        """The drivers that work here, and what they can do."""
        return await self._drivers.usable()

    def is_built_in(self, driver: str) -> bool:
        """Whether it is one of ours."""
        return self._drivers.is_built_in(driver)

    def built_in(self) -> list[str]:
        """The names of the drivers that are ours."""
        return self._drivers.built_in()

    async def driver(self, name: str) -> VolumeDriver:
        """A driver of this host; NOT_FOUND."""
        return await self._drivers.get(name)

    # --- for containers ---------------------------------------------------------------------

    def begin(self, container: str) -> None:
        """The container is made, or made ready to start again: what it lost before is past."""
        self._why.pop(container, None)

    async def use(self, container: str, want: Want, may: Callable[[], bool] = lambda: True) -> Path:
        """Where the container finds the volume: it is mounted, and stays so until `leave`.

        A guardian knows of the container before that has a control group. `may`: whether the volume
        may still be mounted; once it says no, what `released` has told stays true.
        """
        await self._until_free(want)
        driver = await self._drivers.get(want.driver)
        if not may():
            raise SwarmError(Code.REFUSED, f"volume {want.volume.name} was taken back")
        held = self._held.get(want.key)
        if held is None:
            held = self._held[want.key] = self._new(container, want)
        async with held.lock:
            if not held.is_usable:
                raise _not_free(want, held)
            try:
                await held.keep_users({*held.record.users, container})
                if not held.record.path:
                    await held.mount(want, driver, self._hearer(held))
            except BaseException:
                await self._part(held, container)
                raise
            return Path(held.record.path)

    async def leave(self, container: str) -> None:
        """The container has ended: what it alone used is unmounted. What cannot be yet is tried
        again and again, and is not waited for any longer.
        """
        await self._subpaths.drop(container)
        mine = [held for held in self._held.values() if container in held.record.users]
        for held in mine:
            async with held.lock:
                if container in held.record.users:
                    await self._part(held, container)
        over = [asyncio.ensure_future(each.over.wait()) for each in mine if not each.record.users]
        if over:
            _, pending = await asyncio.wait(over, timeout=_PATIENCE)
            for waiter in pending:
                waiter.cancel()

    async def forget(self, container: str) -> None:
        """The container is gone: its anonymous volumes go with it."""
        await self.leave(container)
        self._why.pop(container, None)
        await self.own.drop_of(container)

    async def drop(self, name: str) -> None:
        """Deletes a volume of the host's own with its data; NOT_FOUND, or REFUSED while a container
        has it.
        """
        users = self.users(own_key(name))
        if users:
            raise SwarmError(
                Code.REFUSED,
                f"volume {name} is in use",
                why=f"container {users[0]} has it",
                remedy="remove what uses it first",
            )
        await self.own.drop(name)

    async def subpath(self, container: str, path: Path, below: str) -> Path:
        """A folder or file within a volume, for that container; INVALID if there is none."""
        return await self._subpaths.take(container, path, below)

    def why(self, container: str) -> str:
        """Why a volume of the container is gone, if one is."""
        return self._why.get(container, "")

    # --- for leases -------------------------------------------------------------------------

    def renew(self, key: str, until: float) -> None:
        """The lease lasts until then."""
        held = self._held.get(key)
        if held is not None:
            held.renew(until)

    def mounted_keys(self) -> list[str]:
        """What is mounted, or not unmounted yet."""
        return list(self._held)

    def users(self, key: str) -> tuple[str, ...]:
        """The containers that have it."""
        held = self._held.get(key)
        return () if held is None else held.record.users

    async def until_one_leaves(self, within: float) -> None:
        """Returns when some container has no use for some volume any more, or after so long."""
        self._left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._left.wait()

    async def released(self, key: str) -> None:
        """Returns once nothing here touches it any more; its containers have to end for that."""
        held = self._held.get(key)
        if held is not None:
            await held.over.wait()

    # --- within -----------------------------------------------------------------------------

    def _new(self, container: str, want: Want) -> HeldMount:
        record = MountRecord(
            self._ids(), want.key, want.driver, want.volume, self._boot_id, (container,)
        )
        return self._mount_of(record)

    def _mount_of(self, record: MountRecord) -> HeldMount:
        assert self._around is not None  # noqa: S101 - see `recover`
        return HeldMount(record, self._around)

    async def _until_free(self, want: Want) -> None:
        held = self._held.get(want.key)
        if held is not None and not held.is_usable:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await held.over.wait()
            except TimeoutError:
                raise _not_free(want, held) from None

    async def _take_over(self, record: MountRecord, alive: Collection[str]) -> None:
        held = self._held[record.key] = self._mount_of(record)
        async with held.lock:
            end = await held.take_over(self._hearer(held))
            users = {each for each in record.users if each in alive}
            if end is not None and users:
                await self._lose(held, end)
            await self._keep_users(held, users)

    def _hearer(self, held: HeldMount) -> Callable[[End], None]:
        def gone(end: End) -> None:
            if self._held.get(held.record.key) is held and held.is_usable:
                self._spawn(self._lose(held, end))

        return gone

    async def _lose(self, held: HeldMount, end: End) -> None:
        """The guardian is gone: whatever still uses the volume ends, and the mount with it."""
        held.lose(end)
        for container in held.record.users:
            self._why[container] = held.lost
        await held.kill()

    async def _part(self, held: HeldMount, container: str) -> None:
        """The container needs it no more."""
        await self._keep_users(held, set(held.record.users) - {container})
        self._left.set()

    async def _keep_users(self, held: HeldMount, users: set[str]) -> None:
        """No others need it any more; what a guardian that hangs does not hear is no matter."""
        try:
            await held.keep_users(users)
        except SwarmError as error:
            log.warning("volume %s: %s", held.record.volume.name, error)
        if not users:
            self._spawn(self._end_at_last(held))

    async def _end_at_last(self, held: HeldMount) -> None:
        delay = _RETRY_FIRST
        while not held.over.is_set():
            async with held.lock:
                try:
                    await held.end(await self._drivers.get(held.record.driver))
                    del self._held[held.record.key]
                    held.over.set()
                    return
                except SwarmError as error:
                    log.warning("volume %s: %s", held.record.volume.name, error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RETRY_LONGEST)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(_log_crash)


def _not_free(want: Want, held: HeldMount) -> SwarmError:
    return SwarmError(
        Code.EXHAUSTED,
        f"volume {want.volume.name} is not free yet on this host",
        why=held.lost or "it is being unmounted",
    )


def _log_crash(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a volume is not seen to any more", exc_info=error)


def containers_of(states: Sequence[ContainerState]) -> tuple[set[str], set[str]]:
    """Of the driver's containers those that may run, and all."""
    return {each.id for each in states if each.phase != "exited"}, {each.id for each in states}
