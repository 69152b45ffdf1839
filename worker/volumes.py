"""The volumes of a node: what its tasks use, and what it holds of the swarm's. The shell around
`volume_book` and `volume_mounts`, over runtime.volume.host.

It never lets a task begin with a volume of the swarm whose lease does not last, and tells managers
that one is let go only when nothing of the node can touch it any more.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.times import seconds_of
from api.v1 import dispatcher_pb2, objects_pb2, specs_pb2, volume_pb2
from hostkit.clock import Clock
from runtime.volume.copying.content import copying
from runtime.volume.driver import Access, Scope, Volume
from runtime.volume.guard import notice_of
from runtime.volume.host import VolumeHost
from runtime.volume.orders import carry_out
from runtime.volume.wants import Lease, Want, own_key
from worker.executor import TemporaryError
from worker.node_volumes import Given, SendVolumes
from worker.volume_book import Hold, VolumeBook, hold_of
from worker.volume_mounts import VolumeMount, fills, settled, wanted
from worker.volume_turns import Turns

log = logging.getLogger(__name__)

Item = volume_pb2.NodeVolume
Task = objects_pb2.Task
Spec = specs_pb2.VolumeSpec

_PATIENCE = 10.0
"""Seconds that a task waits for the first renewal of a lease, before it says why it waits."""
_ACCESS = {
    Spec.ACCESS_SINGLE_WRITER: Access.SINGLE_WRITER,
    Spec.ACCESS_MANY_READERS: Access.MANY_READERS,
    Spec.ACCESS_MANY_WRITERS: Access.MANY_WRITERS,
}


class Volumes:
    """NodeVolumes over those of a host, which it closes. `clock`: CLOCK_BOOTTIME."""

    def __init__(self, host: VolumeHost, clock: Clock) -> None:
        self.host = host
        self._clock = clock
        self._book = VolumeBook()
        self._turns = Turns()
        self._news = asyncio.Event()
        self._renewed = asyncio.Event()
        self._endings: set[asyncio.Task[None]] = set()

    # --- for tasks --------------------------------------------------------------------------

    async def join(
        self, task: Task, spec: specs_pb2.ContainerSpec, image: Mapping[str, Any]
    ) -> Given:
        """See TaskVolumes."""
        self.host.begin(task.id)
        volumes = wanted(task, spec, image)
        folders: list[tuple[VolumeMount, Path]] = []
        devices: list[tuple[VolumeMount, Path]] = []
        for volume in volumes:
            path = await self._use(task.id, volume)
            if self._is_device(volume):
                devices.append((volume, path))
                continue
            if volume.mount.volume_subpath:
                path = await self.host.subpath(task.id, path, volume.mount.volume_subpath)
            folders.append((volume, path))
        mounts = settled(spec, [*folders, *devices])
        return Given(mounts, fills(folders), tuple(path for _, path in devices))

    def _is_device(self, volume: VolumeMount) -> bool:
        item = None if volume.hold is None else self._book.item(volume.hold)
        if item is None or not item.block:
            return False
        if volume.mount.volume_subpath:
            raise SwarmError(
                Code.INVALID, f"volume {item.name} is a block device", why="it has no subpaths"
            )
        return True

    async def take_turn(self, task: Task) -> None:
        """See TaskVolumes."""
        end = self._clock() + _PATIENCE
        for attachment in task.volumes:
            hold = Hold(attachment.volume_id, attachment.epoch)
            while (item := self._book.item(hold)) is not None:
                before = next(self._turns.before(task, attachment, item, self._users(hold)), "")
                if not before:
                    break
                left = end - self._clock()
                if left <= 0:
                    raise _not_its_turn(item, before)
                await self.host.until_one_leaves(left)

    def _users(self, hold: Hold) -> dict[Hold, Collection[str]]:
        """Who has the volume here, under this and under other epochs."""
        every = {key: hold_of(key) for key in self.host.mounted_keys()}
        return {
            each: self.host.users(key)
            for key, each in every.items()
            if each is not None and each.volume_id == hold.volume_id
        }

    async def leave(self, task_id: str) -> None:
        """See TaskVolumes."""
        await self.host.leave(task_id)

    async def forget(self, task_id: str) -> None:
        """See TaskVolumes."""
        await self.host.forget(task_id)
        self._turns.forget(task_id)

    def why(self, task_id: str) -> str:
        """See TaskVolumes."""
        return self.host.why(task_id)

    async def _use(self, task_id: str, volume: VolumeMount) -> Path:
        if volume.hold is not None:
            return await self._use_held(task_id, volume.hold)
        assert volume.own is not None  # noqa: S101 - it is one of both
        own = await self.host.own.named(volume.own)
        return await self.host.use(task_id, Want(own_key(own.name), own.driver, own.volume))

    async def _use_held(self, task_id: str, hold: Hold) -> Path:
        item = await self._leased(hold)
        lease = Lease(self._book.until(hold), seconds_of(item.term))
        want = Want(hold.key, item.driver, self._volume(item), lease)
        try:
            path = await self.host.use(task_id, want, lambda: self._book.item(hold) is not None)
        except SwarmError as error:
            if error.code is not Code.EXHAUSTED:  # that only says that it is not free yet
                self._book.failed(hold, str(error))
                self._news.set()
            raise
        self.host.renew(hold.key, self._book.until(hold))  # it may have come meanwhile
        self._book.mounted(hold)
        self._news.set()
        return path

    async def _leased(self, hold: Hold) -> Item:
        """The volume, once its lease lasts for a while."""
        end = self._clock() + _PATIENCE
        while True:
            self._renewed.clear()
            item = self._book.item(hold)
            if item is not None:
                left = self._book.until(hold) - self._clock()
                if left > notice_of(seconds_of(item.term)):
                    return item
            left = end - self._clock()
            try:
                async with asyncio.timeout(left):
                    await self._renewed.wait()
            except TimeoutError:
                raise _no_lease(item) from None

    def _volume(self, item: Item) -> Volume:
        """As its driver knows it: by its id, where names of the host's own must not clash, and by
        which copy of the data it is.
        """
        name = item.id if self.host.is_built_in(item.driver) else item.name
        return Volume(
            name=f"{name}.{item.generation}" if item.generation else name,
            options=dict(item.driver_options),
            access=_ACCESS[item.access],
            read_only=item.read_only,
            block=item.block,
            handle=item.handle,
            context=dict(item.context),
            publish_context=dict(item.publish_context),
            secrets=dict(item.secrets),
        )

    # --- for the agent ----------------------------------------------------------------------

    def restore(self, tasks: Iterable[Task]) -> None:
        """See NodeVolumes. What an earlier agent knew is forgotten: it may be another swarm's."""
        self._book = VolumeBook()
        self._turns = Turns(tasks)
        holds = (hold_of(key) for key in self.host.mounted_keys())
        self._book.restore(hold for hold in holds if hold is not None)

    async def drivers(self) -> list[objects_pb2.VolumeDriver]:
        """See NodeVolumes."""
        return [
            objects_pb2.VolumeDriver(
                name=name,
                local=can.scope is Scope.LOCAL,
                creates=can.creates,
                deletes=can.deletes,
                opens=can.opens,
                fences=can.fences,
                segments=can.segments,
                node_id=can.host_id,
            )
            for name, can in await self.host.usable()
        ]

    def follow(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """See NodeVolumes."""
        self._turns.follow(message)
        for hold in self._book.follow(message):
            ending = asyncio.create_task(self._end(hold), name=f"volume {hold.key}")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
        self._renewed.set()
        self._news.set()

    def has_leases(self) -> bool:
        """See NodeVolumes."""
        return self._book.has_leases()

    def renew(self, sent: float, applied: int) -> None:
        """See NodeVolumes."""
        for renewal in self._book.renew(sent, applied):
            self.host.renew(renewal.hold.key, renewal.until)
        self._renewed.set()

    async def deliver(self, send: SendVolumes) -> None:
        """See NodeVolumes."""
        self._news.set()
        while True:
            await self._news.wait()
            self._news.clear()
            words = self._book.words()
            if words:
                await send(words)
                self._book.said(words)

    async def carry_out(self, order: volume_pb2.VolumeOrder) -> volume_pb2.VolumeOrderReport:
        """See NodeVolumes."""
        try:
            driver = await self.host.driver(order.volume.driver)
        except SwarmError as error:
            return volume_pb2.VolumeOrderReport(order_id=order.id, error=str(error))
        return await carry_out(driver, self._volume(order.volume), order)

    async def save(self, order: volume_pb2.VolumeOrder) -> AsyncGenerator[bytes, None]:
        """See NodeVolumes."""
        driver = copying(await self.host.driver(order.volume.driver))
        volume = self._volume(order.volume)
        async with aclosing(driver.save(volume, order.volume.name, live=order.live)) as pieces:
            async for piece in pieces:
                yield piece

    async def fill(self, order: volume_pb2.VolumeOrder, pieces: AsyncIterator[bytes]) -> None:
        """See NodeVolumes."""
        driver = copying(await self.host.driver(order.volume.driver))
        volume = self._volume(order.volume)
        await driver.fill(volume, order.volume.name, pieces, devices=order.devices)

    async def close(self) -> None:
        """Lets go of everything but what is mounted, which stays."""
        for ending in self._endings:
            ending.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self.host.close()

    async def _end(self, hold: Hold) -> None:
        await self.host.released(hold.key)
        self._book.let_go(hold)
        self._news.set()


def _not_its_turn(item: Item, before: str) -> TemporaryError:
    return TemporaryError(
        Code.UNAVAILABLE,
        f"volume {item.name} is not free yet",
        why=f"task {before}, which is to end, still has it here",
    )


def _no_lease(item: Item | None) -> TemporaryError:
    if item is None:
        return TemporaryError(
            Code.UNAVAILABLE,
            "a volume of the swarm is not on this node",
            why="the managers have not given it, or have taken it back",
        )
    return TemporaryError(
        Code.UNAVAILABLE,
        f"volume {item.name} cannot be used yet",
        why="its lease was not renewed: no manager answers heartbeats",
    )
