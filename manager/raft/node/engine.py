"""The engine of a Raft node: one task that makes rounds, one that makes ticks, a disk's thread.

It sleeps until a message, a proposal, a read or a tick came, and goes on until the core asks for
nothing more (a round: manager.raft.node.duties). While the disk works, the core takes in what
comes. A round without anything to write makes no detour through the thread. Decides nothing about
the log, and does not know what it is asked for from outside: that is manager.raft.node.node.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Protocol

from api.errors import SwarmError
from api.v1.raft_pb2 import Member, RaftMessage
from hostkit.clock import Clock
from manager.raft.core.errors import InvariantError, StorageError
from manager.raft.core.ready import Ready
from manager.raft.node import failures
from manager.raft.node.changes import Changes
from manager.raft.node.disk_duties import needs_disk
from manager.raft.node.disk_thread import DiskThread
from manager.raft.node.duties import Duties
from manager.raft.node.proposals import Proposals
from manager.raft.node.reads import Reads
from manager.raft.node.snapshotting import Snapshotting
from manager.raft.node.telling import Telling
from manager.raft.node.ticker import Ticker

logger = logging.getLogger(__name__)

SLICE = 0.01
"""Seconds after which applying lets the loop's other tasks have their turn."""

Sleep = Callable[[float], Awaitable[None]]


class Transport(Protocol):
    """What carries messages to the others; manager.raft.transport.transport.Transport is one."""

    def send(self, messages: Sequence[RaftMessage]) -> None:
        """Sends each to the member that it is for; never waits, never raises."""

    def set_members(self, members: Iterable[Member]) -> None:
        """Who is in the group; this member itself is passed over."""


class Engine:
    """Drives one member's duties. `run` it; the rest is called on the same loop.

    `told`: the members until the log names this one. `failure`: why it has come to its end, or
    None.
    """

    def __init__(
        self,
        *,
        duties: Duties,
        raft_id: int,
        told: Mapping[int, Member],
        transport: Transport,
        snapshot_interval: Callable[[], int],
        max_snapshots: Callable[[], int],
        first_read: int,
        monotonic: Clock,
        sleep: Sleep,
    ) -> None:
        self.duties = duties
        self.raw = duties.raw
        self.disk = DiskThread()
        self.proposals = Proposals()
        self.reads: Reads[asyncio.Future[None]] = Reads(first_read)
        self.changes = Changes()
        self.failure: SwarmError | None = None
        self.ticks = 0
        self._raft_id = raft_id
        self._told = told
        self._named: Mapping[int, Member] | None = None
        self._known: Mapping[int, Member] = {}
        self._transport = transport
        self._monotonic, self._sleep = monotonic, sleep
        self._wake = asyncio.Event()
        self._snapshotting = Snapshotting(
            duties,
            self.disk,
            interval=snapshot_interval,
            max_snapshots=max_snapshots,
            done=self._wake.set,
        )
        self._telling = Telling(duties.raw, self._tell_commit)
        self._core = _Core(self)
        self._resting = False
        self._breathed = 0.0
        self._led_term = 0
        self._seen = (False, 0, self.members)

    @property
    def is_leader(self) -> bool:
        """Whether it leads and its state is current: the first entry of its term is applied."""
        leads = self.failure is None and self.raw.is_leader
        return leads and self.duties.applied_term == self.raw.term

    @property
    def members(self) -> Mapping[int, Member]:
        """Who is in the group, by raft id; the same object until it changes.

        Whoever takes the log in from its beginning reads of former members first. Until it reads of
        itself those count too whom it was told of: one of them leads, and waits for its answers.
        """
        membership = self.duties.membership
        if self._raft_id in membership.members:
            return membership.members
        if self._named is not membership.members:
            self._named = membership.members
            told = {each: m for each, m in self._told.items() if each not in membership.removed}
            self._known = MappingProxyType({**told, **self._named})
        return self._known

    @property
    def leader(self) -> Member | None:
        """The leader, as far as is known here."""
        return self.members.get(self.raw.leader)

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to write, send or apply until something comes in."""
        busy = self._snapshotting.busy or self.disk.busy or self._telling.waits
        return self._resting and not self._wake.is_set() and not busy

    def wake(self) -> None:
        """There is something to hand in."""
        self._wake.set()

    def core(self) -> "_Core":
        """Around whatever the core takes in: wakes the rounds, and ends them if it must not be."""
        return self._core

    def took_in(self) -> None:
        """The core has taken something in."""
        self._notice()
        self._wake.set()

    def end_with(self, failure: SwarmError) -> SwarmError:
        """This member must not go on; returns the error to raise."""
        if self.failure is None:
            self.failure = failure
            self._wake.set()
        return self.failure

    async def run(self) -> None:
        """Takes part in the group until cancelled.

        SwarmError UNAVAILABLE once the disk has failed, INTERNAL once the log contradicts itself.
        """
        self.disk.start()
        tasks = [asyncio.create_task(self._serve()), asyncio.create_task(self._tick())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except OSError as error:
            raise self.end_with(failures.stopped(error)) from error
        except (InvariantError, StorageError) as error:
            raise self.end_with(failures.broken(error)) from error
        finally:
            self._telling.end()
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, self._snapshotting.end(), return_exceptions=True)
            finally:
                self._end()

    async def _serve(self) -> None:
        self._transport.set_members(self.members.values())
        self._breathed = self._monotonic()
        await self._rounds()
        if self._is_sole_voter():
            self.raw.campaign()  # there is nobody whose leadership it could disturb
        while True:
            self._wake.clear()
            self._resting = False
            await self._rounds()
            self._snapshotting.look()
            self._resting = True
            await self._wake.wait()
            self._breathed = self._monotonic()
            if self.failure is not None:
                raise self.failure

    async def _rounds(self) -> None:
        """Goes on until the core asks for nothing more."""
        self._hand_in()
        while self.raw.has_ready():
            await self._round(self.raw.ready())
            self._telling.look()
            self._snapshotting.look()
            self._hand_in()

    def _hand_in(self) -> None:
        """What has waited for the next round."""
        self.proposals.hand_in(self.raw, self.leader)
        if len(self.reads) and self.raw.leader:
            context = self.reads.ask(self._monotonic())
            if context is not None:
                self.raw.read_index(context)

    async def _round(self, ready: Ready) -> None:
        self._transport.send(ready.early)
        if needs_disk(ready):
            await self.disk.run(lambda: self.duties.disk.persist(ready))
            self._breathed = self._monotonic()
        else:
            self.duties.disk.persist(ready)
        self._transport.send(ready.late)
        for applied in self.duties.settling(ready, self.proposals.local_of):
            self.proposals.applied(applied)
            if self._monotonic() - self._breathed > SLICE:
                await asyncio.sleep(0)
                self._breathed = self._monotonic()
        if ready.snapshot is not None:
            self.proposals.jumped(ready.snapshot.metadata.index)
        for state in ready.read_states:
            self.reads.answered(state.context, state.index)
        for done in self.reads.applied(self.duties.applied):
            if not done.done():
                done.set_result(None)
        self._notice()

    async def _tick(self) -> None:
        ticker = Ticker(self._monotonic())
        while True:
            await self._sleep(ticker.until_next(self._monotonic()))
            now = self._monotonic()
            with self.core():
                for _ in range(ticker.due(now)):
                    self.ticks += 1
                    self.raw.tick()
            _fail(self.reads.expired(now), failures.no_barrier(self.leader))

    def _tell_commit(self) -> None:
        with self.core():
            self.raw.tell_commit()

    def _notice(self) -> None:
        """Draws the consequences of what the core has become."""
        raw, members = self.raw, self.members
        if self._led_term and (not raw.is_leader or raw.term != self._led_term):
            self.proposals.lost(self.leader)
        self._led_term = raw.term if raw.is_leader else 0
        led, leader, known = self._seen
        if (led, leader) == (self.is_leader, raw.leader) and members is known:
            self.changes.check()
            return
        self._seen = self.is_leader, raw.leader, members
        if raw.leader != leader:
            self.reads.leader_changed()
            self._wake.set()
        if members is not known:
            self._transport.set_members(members.values())
        self.changes.tell()

    def _end(self) -> None:
        """Waits for the write that is under way, and tells everybody that it was the last."""
        self.disk.close()
        if self.failure is None:
            try:
                self.duties.disk.flush()
            except (OSError, SwarmError) as error:
                logger.error("the log's last commit index was not written: %s", error)
        why = self.end_with(failures.stopping())
        self.proposals.end(why)
        _fail(self.reads.end(), why)
        self.changes.end(why)

    def _is_sole_voter(self) -> bool:
        return self.raw.status().config.voters.ids() == {self._raft_id}


class _Core:
    """`Engine.core`; a class, since a generator would cost a fiftieth of every write."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if error is None:
            self._engine.took_in()
        elif isinstance(error, InvariantError | StorageError):
            raise self._engine.end_with(failures.broken(error)) from error


def _fail(waiting: Iterable[asyncio.Future[None]], why: SwarmError) -> None:
    for done in waiting:
        if not done.done():
            done.set_exception(why)
