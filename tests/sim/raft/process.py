"""One run of a member's process, from its start to its death: the real core, log and state machine,
driven through the real `Duties` in the order that the shell keeps.

Dies by PowerCut, by a disk error, or when somebody ends it. Everything that is scheduled for it
then comes to nothing.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from api.errors import SwarmError
from api.v1.raft_pb2 import ConfChange, ConfState, Entry, RaftMessage, SnapshotMetadata
from manager.raft.core.errors import ProposalDroppedError, UnknownPeerError
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Ready
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.node.disk_duties import needs_disk
from manager.raft.node.duties import Applied, Duties
from tests.sim.raft.drive import Drive
from tests.sim.raft.log_terms import LogTerms
from tests.sim.raft.machines import Machine
from tests.sim.raft.own_snapshots import OwnSnapshots
from tests.support.sim_disk import PowerCut

if TYPE_CHECKING:
    from tests.sim.raft.world import World

TICK = 100
"""Milliseconds, as in the shell."""
CATCH_UP = 3
"""Ticks that are handed in after a pause, at most, as the shell does it."""
_SNAPSHOT = RaftMessage.TYPE_SNAPSHOT
_CONF_CHANGE = Entry.TYPE_CONF_CHANGE


class Process:
    """`seen_*`, `led_term`, `log` and `confs` belong to the invariants.

    `log`: of the entries that were handed out to be persisted. `confs`: the configuration, and
    while it changes the one before.
    """

    def __init__(
        self,
        world: "World",
        raft_id: int,
        drive: Drive,
        duties: Duties,
        snapshots: SnapshotStore,
        machine: Machine,
        log: LogTerms,
    ) -> None:
        self.world = world
        self.raft_id = raft_id
        self.drive = drive
        self.duties = duties
        self.raw: RawNode = duties.raw
        self.machine = machine
        self.log = log
        self.rate = 1.0
        self.alive = True
        self.paused = False
        self.view = world.invariants.views[raft_id]
        self.seen_term = self.raw.term
        self.seen_commit = self.raw.committed
        self.seen_applied = duties.applied
        self.led_term = 0
        self.confs: list[ConfState] = [self._conf()]
        self._snapshots = snapshots
        self._random: Random = world.random
        self.on_disk = False
        """Whether the disk's one thread is at work."""
        self._settling: Iterator[Applied] | None = None
        self._missed_ticks = 0
        self._inbox: list[Callable[[], None]] = []
        self._writes: dict[tuple[int, int], int] = {}
        self._waiting_reads: list[tuple[int, bytes]] = []
        self._asked: set[bytes] = set()
        self._own_snapshots = OwnSnapshots(self)
        world.clock.after(1 + self._random.randrange(TICK), self._tick)

    @property
    def conf(self) -> ConfState:
        """The configuration that it is in."""
        return self.confs[-1]

    # What comes from outside.

    def receive(self, message: RaftMessage) -> bool:
        """A message has arrived; whether the process takes it."""
        if not self.alive or getattr(message, "from") in self.duties.membership.removed:
            return False
        self.do(self._step, message)
        return True

    def do(self, action: Callable[..., None], *args: Any) -> None:
        """Has something happen in the process now, or when its pause is over."""
        if not self.alive:
            return
        if self.paused:
            self._inbox.append(lambda: self.do(action, *args))
            return
        action(*args)
        self.after_step()

    def _step(self, message: RaftMessage) -> None:
        self.world.note("  {}", message)
        try:
            self.raw.step(message)
        except UnknownPeerError:
            self.world.note("  {} does not know the sender", self.raft_id)

    def _tick(self) -> None:
        if not self.alive:
            return
        self.world.clock.after(max(1, int(TICK * self.rate)), self._tick)
        if self.paused:
            self._missed_ticks += 1
        else:
            self.raw.tick()
            if self.world.settings.lazy:
                self.raw.tell_commit()  # what manager.raft.node.telling does after 5 ms
            self.after_step()

    def propose(self, sizes: list[int]) -> list[int]:
        """Clients write; the numbers of their operations if this process takes them."""
        numbers = [self.world.history.next_operation() for _ in sizes]
        data = [self.machine.command(*each) for each in zip(numbers, sizes, strict=True)]
        try:
            first = self.raw.propose(*data)
        except ProposalDroppedError:
            return []
        if first is not None:
            for index, number in enumerate(numbers, first):
                self._writes[index, self.raw.term] = number
        self.world.note("{} takes writes {} to {}", self.raft_id, numbers[0], numbers[-1])
        self.after_step()
        return numbers

    def propose_change(self, change: ConfChange) -> None:
        """An operator changes the members."""
        try:
            index = self.raw.propose_conf_change(change)
        except ProposalDroppedError as error:
            self.world.note("{} drops {}: {}", self.raft_id, change, error)
            return
        self.world.note("{} is told: {}, at {}", self.raft_id, change, index)
        self.after_step()

    def read(self) -> None:
        """A client reads."""
        context = self.world.history.ask(self.world.clock.now)
        self._asked.add(context)
        self.world.note("{} is asked for {}", self.raft_id, context)
        self.raw.read_index(context)
        self.after_step()

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True
        self.world.note("{} stands still", self.raft_id)

    def go_on(self) -> None:
        """SIGCONT: what has come meanwhile comes now, and a few of the missed ticks."""
        if not self.paused or not self.alive:
            return
        self.paused = False
        self.world.note("{} goes on", self.raft_id)
        ticks = min(self._missed_ticks, CATCH_UP)
        self._missed_ticks = 0
        todo, self._inbox = self._inbox, []
        todo += [lambda: self.do(self.raw.tick)] * ticks
        if self._random.randrange(2):
            self._random.shuffle(todo)
        for each in todo:
            each()

    def end(self, why: str) -> None:
        """The process is dead; its member knows what becomes of the disk."""
        self.alive = False
        self.world.note("{} ends: {}", self.raft_id, why)

    # Rounds.

    def after_step(self) -> None:
        """After anything that the core was told: looks at it, and does what it asks for."""
        if not self.alive:
            return
        led = self.led_term
        self.world.invariants.changed(self)
        if self.led_term != led:
            self.world.counts["elections"] += 1
            self.world.mover.elected(self)
        while self.alive and not self.on_disk and self._settling is None:
            if not self.raw.has_ready():
                return
            self._round(self.raw.ready())

    def _round(self, ready: Ready) -> None:
        world, duties = self.world, self.duties
        if ready.soft_state or ready.hard_state or ready.entries or ready.committed_entries:
            world.note("{} {}", self.raft_id, ready)
        if ready.entries and ready.entries[0].index <= self.log.last:
            world.counts["entries overwritten"] += 1
        world.invariants.writes(self, ready)
        self._send(ready.early)
        if not self.alive:
            return
        if needs_disk(ready):
            self.on_disk = True
            self.view.begin(ready)
            if self.use_disk(lambda: duties.disk.persist(ready)):
                world.clock.after(world.disk_delay(), self.do, self._persisted, ready)
        else:
            durable = self.view.has(ready)
            self.view.begin(ready)
            duties.disk.persist(ready)
            self.view.end(durable=durable)
            self._settle(ready)

    def use_disk(self, work: Callable[[], None]) -> bool:
        """Whether the process lives to see the end of the work."""
        drive = self.drive
        before = drive.appends
        try:
            work()
        except PowerCut:
            self.world.power_lost(self)
        except OSError as error:
            self.world.disk_failed(self, error)
        else:
            self.view.end(durable=drive.appends > before and not drive.dirty)
            return True
        return False

    def _persisted(self, ready: Ready) -> None:
        self.on_disk = False
        self._settle(ready)

    def _settle(self, ready: Ready) -> None:
        self._send(ready.late)
        if not self.alive:
            return
        if ready.snapshot is not None:
            self._installing(ready.snapshot.metadata)
        self._settling = self.duties.settling(ready)
        for state in ready.read_states:
            if state.context in self._asked:
                self._asked.discard(state.context)
                self._waiting_reads.append((state.index, state.context))
        steps = 1 << 30
        if len(ready.committed_entries) > 1 and self._random.randrange(8) == 0:
            steps = self._random.randrange(len(ready.committed_entries))
        self._apply(steps)

    def _apply(self, steps: int) -> None:
        """Goes on with applying; after so many entries other things get in between."""
        settling = self._settling
        if settling is None:
            return
        for applied in settling:
            self._applied(applied)
            if steps == 0:
                self.world.clock.after(self._random.randrange(8), self.do, self._apply, 1 << 30)
                return
            steps -= 1
        self._settling = None
        self.confs = self.confs[-1:]
        self._serve_reads()
        self._own_snapshots.plan_if_due()

    def _applied(self, applied: Applied) -> None:
        entry = applied.entry
        world = self.world
        world.invariants.applies(self, entry, applied.result)
        if entry.type == _CONF_CHANGE:
            self._reconfigured(entry, applied.result)
        elif self._writes:
            operation = self._writes.pop((entry.index, entry.term), 0)
            if operation:
                world.note("write {} is acknowledged at {}", operation, entry.index)
                world.counts["writes"] += 1
                world.history.acknowledge(entry.index, operation)

    def _reconfigured(self, entry: Entry, result: object) -> None:
        conf = self._conf()
        self.world.invariants.reconfigured(self, entry.index, conf)
        refused = isinstance(result, SwarmError)
        outcome = "refused" if refused else conf
        self.world.counts["changes refused" if refused else "changes applied"] += 1
        self.world.note("{} at {}: {}", self.raft_id, entry.index, outcome)
        self.view.reconfigured(entry.index)
        self.confs = [self.confs[-1], conf]
        if self.led_term == self.seen_term and self.raft_id not in conf.voters:
            self.world.faults.leader_left(self.raft_id)
        self.world.invariants.changed(self)

    def _installing(self, metadata: SnapshotMetadata) -> None:
        """A received snapshot takes the place of what was applied."""
        self.world.counts["snapshots installed"] += 1
        self.seen_applied = metadata.index
        self.confs = [metadata.conf]
        self.view.reconfigured(metadata.index)

    def _conf(self) -> ConfState:
        return self.raw.status().config.conf_state()

    def _serve_reads(self) -> None:
        applied = self.duties.applied
        for index, context in self._waiting_reads:
            if index <= applied:
                self.world.history.answer(self.raft_id, context, applied)
                self.world.read_served(self, context)
        self._waiting_reads = [each for each in self._waiting_reads if each[0] > applied]

    # Sending.

    def _send(self, messages: list[RaftMessage]) -> None:
        sends, send = self.world.invariants.promises.sends, self.world.network.send
        for message in messages:
            sends(self, message)
            if message.type != _SNAPSHOT:
                send(message)
            elif self.alive:
                self._send_snapshot(message)

    def _send_snapshot(self, message: RaftMessage) -> None:
        """Sends what the snapshot's file holds; if that is there no more, it has failed."""
        try:
            snapshot = self._snapshots.load_latest()
        except PowerCut:
            self.world.power_lost(self)
            return
        if snapshot is None or snapshot.metadata.index != message.snapshot.metadata.index:
            self.world.clock.after(20, self.do, self.raw.report_snapshot, message.to, False)
            return
        whole = RaftMessage()
        whole.CopyFrom(message)
        whole.snapshot.data = snapshot.data
        self.world.network.send(whole)
