"""A member of the group of managers, as the rest of the manager sees it.

Asks the engine (manager.raft.node.engine) for what callers want, and says in what state the member
is. Decides nothing about the log, and knows neither gRPC nor the store.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from api.errors import Code, SwarmError, invalid
from api.v1.raft_pb2 import ConfChange, Member, RaftMessage, Snapshot, SnapshotMetadata
from hostkit.clock import Clock
from manager.raft.core.config import Chance
from manager.raft.core.errors import ProposalDroppedError, UnknownPeerError
from manager.raft.core.status import Status
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.node import failures
from manager.raft.node.core_options import CoreOptions
from manager.raft.node.duties import Duties
from manager.raft.node.engine import Engine, Sleep, Transport
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.machine import StateMachine
from manager.raft.transport.receiver import REMOVED

logger = logging.getLogger(__name__)

ENTRY_BYTES = 3 << 20
"""Bytes of one entry: it has to fit into one message of gRPC, 4 MiB, with all that is around it."""
SILENCE = 2.0
"""Seconds without a message after which a member counts as unreachable: as long as an election."""
READ_DEADLINE = 10.0
"""Seconds after which a read that cannot be brought up to date has failed."""


class DataKeys(Protocol):
    """The keys that seal the log; manager.raft.durable.keyring.FileKeys is one."""

    def rotate(self) -> None:
        """Adds a new data key, durable on return."""


class RaftNode:
    """One member. Keep `run` running; everything else is called on the same loop.

    `interval` of snapshots in entries, `max_snapshots`: older ones that are kept. `monotonic` gives
    seconds; `sleep` waits for as many. Opens nothing and closes nothing: log, snapshots, keys and
    transport are the caller's.
    """

    def __init__(
        self,
        *,
        identity: GroupIdentity,
        wal: Wal,
        recovered: Recovered,
        snapshots: SnapshotStore,
        machine: StateMachine,
        keys: DataKeys,
        transport: Transport,
        snapshot_interval: Callable[[], int],
        max_snapshots: Callable[[], int],
        chance: Chance,
        monotonic: Clock,
        bootstrap: bool,
        options: CoreOptions | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Recovers the state; see Duties.start for `bootstrap` and for errors."""
        self.raft_id = identity.raft_id
        self.group_id = identity.group_id
        self.last_heard: dict[int, float] = {}
        """When each member was last heard of, on the monotonic clock."""
        self._is_told_removed = False
        self._options = options or CoreOptions(lazy_commit=True)
        self._duties = Duties.start(
            identity=identity,
            wal=wal,
            recovered=recovered,
            snapshots=snapshots,
            machine=machine,
            chance=chance,
            options=self._options,
            bootstrap=bootstrap,
        )
        self._raw = self._duties.raw
        self._wal, self._snapshots, self._keys = wal, snapshots, keys
        self._monotonic = monotonic
        self._engine = Engine(
            duties=self._duties,
            raft_id=identity.raft_id,
            told={each.raft_id: each for each in identity.members},
            transport=transport,
            snapshot_interval=snapshot_interval,
            max_snapshots=max_snapshots,
            first_read=chance.randrange(0, 1 << 63),
            monotonic=monotonic,
            sleep=sleep,
        )

    # What it is.

    @property
    def is_leader(self) -> bool:
        """Whether it leads and its state is current: the first entry of its term is applied."""
        return self._engine.is_leader

    @property
    def is_alive(self) -> bool:
        """Whether it takes part in the group; not after a failure, or its end."""
        return self._engine.failure is None

    @property
    def leader_id(self) -> int:
        """The raft id of the leader, as far as is known here; 0: none."""
        return self._raw.leader

    @property
    def leader(self) -> Member | None:
        """The leader, as far as is known here."""
        return self._engine.leader

    @property
    def term(self) -> int:
        """The present term."""
        return self._raw.term

    @property
    def applied(self) -> int:
        """The index of the last applied entry."""
        return self._duties.applied

    @property
    def members(self) -> Mapping[int, Member]:
        """Who is in the group, by raft id; before the log has told, who was named on joining."""
        return self._engine.members

    @property
    def removed(self) -> bool:
        """Whether this member was removed from the group, and knows it."""
        return self._is_told_removed or self.raft_id in self._duties.membership.removed

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to write, send or apply until something comes in."""
        return self._engine.at_rest

    def is_active(self, raft_id: int) -> bool:
        """Whether it was heard of lately; the leader hears of all members, the others of it."""
        heard = self.last_heard.get(raft_id)
        return raft_id == self.raft_id or (
            heard is not None and self._monotonic() - heard < SILENCE
        )

    def status(self) -> Status:
        """All that the core tells of itself."""
        return self._raw.status()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls it, on the loop, when leader, leadership or members changed, and at the end.

        It must not raise. Returns how to end that.
        """
        return self._engine.changes.subscribe(callback)

    async def leading(self) -> None:
        """Waits until it leads; SwarmError UNAVAILABLE if it has come to its end."""
        await self._engine.changes.until(lambda: self.is_leader)

    # What is asked of it.

    async def append(self, data: bytes, local: object | None = None) -> object:
        """Makes `data` an entry; the state machine's answer once it is committed and applied.

        SwarmError INVALID: too large; UNAVAILABLE: this manager does not lead, or it is not known
        whether the entry will be committed; or whatever the state machine answered.
        """
        if len(data) > ENTRY_BYTES:
            raise invalid("entry", f"an entry of {len(data)} bytes is too large for the log")
        self._check_leads()
        done = self._engine.proposals.add(data, local)
        self._engine.wake()
        return await done

    async def read_barrier(self) -> None:
        """Returns once the state here holds all that was acknowledged anywhere before the call.

        SwarmError UNAVAILABLE if no leader could be confirmed within READ_DEADLINE.
        """
        self._check_alive()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._engine.reads.add(done, self._monotonic() + READ_DEADLINE)
        self._engine.wake()
        await done

    async def confirm_lead(self) -> None:
        """Returns once it is certain that this member led after the call, in its present term.

        A read alone is no proof: when the leader changes, the next one answers it. SwarmError
        UNAVAILABLE as `read_barrier`, and if this member does not lead or has ceased to meanwhile.
        """
        self._check_leads()
        term = self.term
        await self.read_barrier()
        self._check_leads()
        if self.term != term:
            raise failures.not_leading(self.leader)

    async def change_members(self, change: ConfChange) -> None:
        """Changes who is in the group; returns once that is applied here.

        SwarmError CONFLICT: another change is under way, or it does not fit; try again. REFUSED: it
        names a removed member, or there is no room. UNAVAILABLE as `append`.
        """
        refusal = self._duties.membership.refusal(change)
        if refusal is not None:
            raise refusal
        self._check_leads()
        with self._engine.core():
            try:
                index = self._raw.propose_conf_change(change)
            except ProposalDroppedError as error:
                raise failures.dropped(error.reason, self.leader) from None
            if index is None:
                raise failures.not_leading(self.leader)
            done = self._engine.proposals.change(index, self._raw.term)
        await done
        # Only then does the core take the next change.
        await self._engine.changes.until(lambda: self._raw.applied >= index)

    async def hand_over(self, to: int = 0) -> bool:
        """Lets another voter lead, `to` or the one that is best prepared.

        Returns whether another leads after one election timeout at most.
        """
        self._check_alive()
        target = to or self._heir()
        if self._raw.is_leader and target:
            last = self._engine.ticks + self._options.election_tick
            with self._engine.core():
                self._raw.transfer_leader(target)
            await self._engine.changes.until(
                lambda: self._another_leads() or self._engine.ticks >= last
            )
        return self._another_leads()

    async def rotate_data_key(self) -> None:
        """Seals what is written from now on under a new key; SwarmError UNAVAILABLE if it cannot.

        If the key was written, and the log cannot go on under it, this member stops.
        """
        self._check_alive()
        try:
            await self._engine.disk.run(self._keys.rotate)
        except OSError as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                "the new data key cannot be written",
                why=str(error),
                remedy="look after the disk, then try again",
            ) from error
        try:
            await self._engine.disk.run(self._wal.roll)
        except OSError as error:
            raise self._engine.end_with(failures.stopped(error)) from error

    # What the transport tells it.

    def admits(self, raft_id: int, node_id: str) -> SwarmError | None:
        """Why messages of this member, under this node's certificate, are refused; or None.

        Somebody unknown is admitted: he may have joined while this member was away, and lead.
        """
        member = self.members.get(raft_id)
        if raft_id in self._duties.membership.removed:
            return failures.removed(raft_id)
        if member is not None and member.node_id and member.node_id != node_id:
            return failures.another_node(raft_id, member.node_id, node_id)
        return None

    async def receive(self, messages: Sequence[RaftMessage]) -> None:
        """Takes messages of other members, in order. SwarmError if it has come to its end."""
        self._check_alive()
        now = self._monotonic()
        with self._engine.core():
            for message in messages:
                self.last_heard[getattr(message, "from")] = now
                try:
                    self._raw.step(message)
                except (UnknownPeerError, ProposalDroppedError) as error:
                    logger.debug("a message was ignored: %s", error)

    async def receive_snapshot(self, message: RaftMessage) -> None:
        """Takes a TYPE_SNAPSHOT with all its data. Errors as `receive`."""
        await self.receive([message])

    def refused(self, refusal: SwarmError) -> None:
        """Another member does not let this one in. If it says why that is for ever, it is believed.

        A member that was cut off when it was removed learns it in no other way: nobody sends it the
        entry that says so.
        """
        if refusal.code is Code.REFUSED and refusal.field == REMOVED and not self.removed:
            self._is_told_removed = True
            self._engine.changes.tell()

    def unreachable(self, raft_id: int) -> None:
        """Messages to this member were lost, or may have been."""
        if self._engine.failure is None:
            with self._engine.core():
                self._raw.report_unreachable(raft_id)

    def snapshot_sent(self, raft_id: int, ok: bool) -> None:
        """The snapshot for this member has arrived, or has not."""
        if self._engine.failure is None:
            with self._engine.core():
                self._raw.report_snapshot(raft_id, ok)

    async def snapshot_data(self, metadata: SnapshotMetadata) -> bytes:
        """The data of a snapshot that the core wants sent.

        SwarmError UNAVAILABLE if a newer one has taken its place; OSError.
        """
        self._check_alive()
        snapshot: Snapshot | None = await asyncio.to_thread(self._snapshots.load_latest)
        wanted = metadata.index, metadata.term
        if snapshot is None or (snapshot.metadata.index, snapshot.metadata.term) != wanted:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"the snapshot at entry {metadata.index} is gone",
                why="a newer one has taken its place",
                remedy="try again with that one",
            )
        return snapshot.data

    # How it lives.

    async def run(self) -> None:
        """Takes part in the group until cancelled.

        SwarmError UNAVAILABLE once the disk has failed, INTERNAL once the log contradicts itself.
        """
        await self._engine.run()

    def _check_alive(self) -> None:
        if self._engine.failure is not None:
            raise self._engine.failure

    def _check_leads(self) -> None:
        self._check_alive()
        if not self._raw.is_leader:
            raise failures.not_leading(self.leader)

    def _another_leads(self) -> bool:
        return self._raw.leader not in (0, self.raft_id)

    def _heir(self) -> int:
        """The voter that has most of the log, of those that were heard of lately; 0: none."""
        status = self._raw.status()
        others = status.config.voters.ids() - {self.raft_id}
        known = {each: status.progress[each] for each in sorted(others) if each in status.progress}
        active = [each for each, progress in known.items() if progress.recent_active]
        return max(active, key=lambda each: known[each].match, default=0)
