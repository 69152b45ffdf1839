"""Raft nodes in one process: real cores, duties and logs; messages go through memory, time by hand.

Nothing is lost and nothing is late unless a test says so. Time passes only in `tick` and what
stands on it, a tick at a time, each followed by `quiet`: however slow the disk is, it is no
timeout.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from api.errors import SwarmError
from api.v1.raft_pb2 import ConfChange, Member, MemberChange, RaftMessage
from manager.raft.durable.disk import DirectoryDisk, Disk
from manager.raft.durable.keyring import FileKeys
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.node import RaftNode
from manager.raft.node.ticker import TICK
from tests.support.manual_clock import ManualClock
from tests.support.sim_disk import SimDisk
from tests.support.until import until
from tests.support.word_machine import Words

R = TypeVar("R")

GROUP = 0xC1
PATIENCE = 200
"""Ticks after which something should have happened."""


def member(raft_id: int) -> Member:
    """How the member is known."""
    return Member(raft_id=raft_id, node_id=f"node{raft_id}", address=f"host{raft_id}:2377")


def change(kind: MemberChange.Type.ValueType, raft_id: int) -> ConfChange:
    """One simple change."""
    who = Member(raft_id=raft_id) if kind == MemberChange.TYPE_REMOVE else member(raft_id)
    return ConfChange(changes=[MemberChange(type=kind, member=who)])


class Wire:
    """One node's Transport."""

    def __init__(self, group: "Group", raft_id: int) -> None:
        self.members: dict[int, Member] = {}
        self._group = group
        self._raft_id = raft_id

    def send(self, messages: Sequence[RaftMessage]) -> None:
        for message in messages:
            if message.to in self.members:
                self._group.carry(self._raft_id, message)

    def set_members(self, members: Iterable[Member]) -> None:
        self.members = {each.raft_id: each for each in members if each.raft_id != self._raft_id}


class Station:
    """One manager's place: its disk outlives its runs."""

    def __init__(self, group: "Group", raft_id: int, disk: SimDisk | None) -> None:
        self.raft_id = raft_id
        self.disk = disk
        self.words = Words()
        self.wire = Wire(group, raft_id)
        self.ended: BaseException | None = None
        self._group = group
        self._task: asyncio.Task[None] | None = None
        self._open: tuple[Wal, Disk] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    @property
    def disk_in_use(self) -> Disk | None:
        """The disk of the present run."""
        return self._open[1] if self._open is not None else None

    @property
    def task(self) -> asyncio.Task[None]:
        """The present run."""
        assert self._task is not None
        return self._task

    def start(
        self, told: Iterable[int], *, bootstrap: bool = False, machine: Words | None = None
    ) -> RaftNode:
        """Opens the log and runs the node; `told`: the members that it was told of."""
        group, name = self._group, f"node{self.raft_id}"
        disk: Disk = self.disk or DirectoryDisk(group.folder / name)
        keys = FileKeys(group.folder / f"{name}.key")
        wal, recovered = Wal.open(disk, cluster_id="c", node_id=name, keys=keys)
        self._open = wal, disk
        self.words = machine or Words()
        self.node = RaftNode(
            identity=GroupIdentity(self.raft_id, GROUP, tuple(member(each) for each in told)),
            wal=wal,
            recovered=recovered,
            snapshots=SnapshotStore(disk, cluster_id="c", node_id=name, keys=keys),
            machine=self.words,
            keys=keys,
            transport=self.wire,
            snapshot_interval=lambda: group.interval,
            max_snapshots=lambda: 0,
            chance=random.Random(self.raft_id),
            monotonic=group.clock,
            sleep=group.clock.sleep,
            bootstrap=bootstrap,
        )
        self.ended = None
        self._task = asyncio.create_task(self.node.run())
        self._task.add_done_callback(self._note)
        return self.node

    async def stop(self) -> None:
        """Cancels the node, as a manager that stops does it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._close()

    def _note(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self.ended = None if task.cancelled() else task.exception()

    def _close(self) -> None:
        if self._open is None:
            return
        (wal, disk), self._open = self._open, None
        wal.close()
        if isinstance(disk, DirectoryDisk):
            disk.release()


class Group:
    """Stations by raft id, and the lines between them."""

    def __init__(self, folder: Path, *, interval: int = 1000) -> None:
        self.folder = folder
        self.interval = interval
        self.clock = ManualClock()
        self.stations: dict[int, Station] = {}
        self.cut: set[int] = set()
        self.refused: list[SwarmError] = []
        self.drops: Callable[[RaftMessage], bool] = lambda _: False
        self._under_way: set[asyncio.Task[None]] = set()

    def __getitem__(self, raft_id: int) -> RaftNode:
        return self.stations[raft_id].node

    def told(self, raft_id: int) -> list[bytes]:
        """The words that this member's machine was told."""
        return self.stations[raft_id].words.told

    def station(self, raft_id: int, disk: SimDisk | None = None) -> Station:
        """A new place for a manager."""
        self.stations[raft_id] = Station(self, raft_id, disk)
        return self.stations[raft_id]

    @property
    def running(self) -> list[RaftNode]:
        return [each.node for each in self.stations.values() if each.running]

    @property
    def leaders(self) -> list[RaftNode]:
        """Those that lead, of those that are not cut off."""
        return [node for node in self.running if node.is_leader and node.raft_id not in self.cut]

    @property
    def leader(self) -> RaftNode:
        (leader,) = self.leaders
        return leader

    @property
    def followers(self) -> list[RaftNode]:
        leader = self.leader
        return [node for node in self.running if node is not leader]

    def carry(self, sender: int, message: RaftMessage) -> None:
        """Takes a message to its receiver, in the loop's next turn."""
        copy = RaftMessage.FromString(message.SerializeToString())
        task = asyncio.create_task(self._deliver(sender, copy))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, sender: int, message: RaftMessage) -> None:
        origin, target = self.stations[sender], self.stations.get(message.to)
        lost = {sender, message.to} & self.cut or target is None or not target.running
        if lost or target is None or self.drops(message):
            if origin.running:
                origin.node.unreachable(message.to)
            return
        refusal = target.node.admits(sender, member(sender).node_id)
        if refusal is not None:
            self.refused.append(refusal)
            origin.node.refused(refusal)
        elif message.type == RaftMessage.TYPE_SNAPSHOT:
            message.snapshot.data = await origin.node.snapshot_data(message.snapshot.metadata)
            await target.node.receive_snapshot(message)
            origin.node.snapshot_sent(message.to, True)
        else:
            await target.node.receive([message])

    async def quiet(self) -> None:
        """Returns once everything that was begun has come to its end."""
        for _ in range(3):  # whoever was woken by the clock or by a caller has his turn first
            await asyncio.sleep(0)
        await until(lambda: not self._under_way and all(node.at_rest for node in self.running))

    async def tick(self, count: int = 1) -> None:
        """Lets that many ticks pass, everything in between being done."""
        for _ in range(count):
            self.clock.advance(TICK)
            await self.quiet()

    async def tick_until(self, true: Callable[[], bool]) -> None:
        """Lets time pass until `true` is, at most PATIENCE ticks."""
        await self.quiet()
        for _ in range(PATIENCE):
            if true():
                return
            await self.tick()
        states = "\n".join(node.status().describe() for node in self.running)
        raise AssertionError(f"not within {PATIENCE} ticks\n{states}")

    async def add_learner(self, raft_id: int) -> RaftNode:
        """A new manager, which has caught up."""
        leader = self.leader
        node = self.station(raft_id).start([*leader.members, raft_id])
        await self.changed(change(MemberChange.TYPE_ADD_LEARNER, raft_id))
        await self.tick_until(lambda: node.applied == leader.applied)
        return node

    async def changed(self, what: ConfChange) -> None:
        """The leader changes the group; time passes until it has."""
        await self.done(self.leader.change_members(what))

    async def done(self, call: Awaitable[R]) -> R:
        """The outcome of a call that may need time to pass."""
        task = asyncio.ensure_future(call)
        await self.tick_until(task.done)
        return task.result()

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self.stations.values()))


@asynccontextmanager
async def group(folder: Path, size: int = 3, *, interval: int = 1000) -> AsyncIterator[Group]:
    """A group of `size` voters, led by number 1."""
    made = Group(folder, interval=interval)
    try:
        first = made.station(1).start([1], bootstrap=True)
        await made.tick_until(lambda: first.is_leader)
        for raft_id in range(2, size + 1):
            await made.add_learner(raft_id)
            await made.changed(change(MemberChange.TYPE_ADD_VOTER, raft_id))
        await made.tick_until(lambda: all(node.applied == first.applied for node in made.running))
        yield made
    finally:
        await made.stop()
