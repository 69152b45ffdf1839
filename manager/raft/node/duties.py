"""What a Ready asks for, in the order that makes a crash at any point harmless. Synchronous.

A round, for the shell and for the simulator alike: `ready`, send `ready.early`, `persist`, send
`ready.late`, `settle`. `persist` and `keep_snapshot` block on the disk and may run in a thread, one
at a time; everything else belongs to the one thread that the core is used in, and what the two
sides keep is apart. Never sends, never waits, reads no clock.

A commit index that is all there is to persist is kept back until the next write, or `flush`: it is
no promise (Ongaro, figure 2: volatile). Except where a change of the configuration is committed by
it: a member that forgot that might count on voters who are gone for good.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from api.v1.raft_pb2 import (
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Member,
    Snapshot,
    SnapshotMetadata,
)
from manager.raft.core.config import Chance, Config
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Ready
from manager.raft.core.storage import MemoryStorage
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.node import failures
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.machine import StateMachine
from manager.raft.node.membership import Membership

KEPT_ENTRIES = 500
"""Entries kept below a snapshot, for members that lag a little (SwarmKit: 500)."""
SAVE_BYTES = 16 << 20
"""Bytes of entries in one record of the log: far below what it takes (MAX_RECORD_BYTES)."""


@dataclass(frozen=True, kw_only=True)
class CoreOptions:
    """How the core of a manager is set up; see manager.raft.core.config.Config.

    A message with its entries has to fit into 4 MiB, what is under way to one member into memory.
    """

    election_tick: int = 10
    heartbeat_tick: int = 2
    max_size_per_msg: int = 1 << 20
    max_committed_size_per_ready: int = 16 << 20
    max_uncommitted_size: int = 64 << 20
    max_inflight_msgs: int = 256
    max_inflight_bytes: int = 32 << 20
    lazy_commit: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """An applied entry, and the machine's answer.

    For a change of the configuration the answer is a SwarmError if the group refuses it, else the
    ConfState that came of it.
    """

    entry: Entry
    result: object


@dataclass(frozen=True, slots=True)
class SnapshotPlan:
    """A snapshot to be made: `encode`, in any thread, then `keep_snapshot` on the disk."""

    metadata: SnapshotMetadata
    encode: Callable[[], bytes]


def _nothing(_: Entry) -> None:
    """No entry was proposed here."""


class Duties:
    """One member: its core, its log on the disk and in memory, its state machine."""

    def __init__(
        self,
        *,
        raw: RawNode,
        storage: MemoryStorage,
        wal: Wal,
        snapshots: SnapshotStore,
        machine: StateMachine,
        snapshot: SnapshotMetadata,
        hard_state: HardState,
    ) -> None:
        """Use `start`. `snapshot` is in the machine already; `hard_state` is on the disk."""
        self.raw = raw
        self.membership = Membership.of(snapshot)
        self.applied = self.snapshot_index = snapshot.index
        self.applied_term = snapshot.term
        self._storage = storage
        self._machine = machine
        self._conf = snapshot.conf
        self.applied_bytes = 0
        """Of commands applied since the last snapshot."""
        self._saving = threading.Lock()  # one snapshot file at a time, received or own
        # Used by persist, mark_snapshot and flush alone, that is where the log is written.
        self._wal = wal
        self._snapshots = snapshots
        self._marked = snapshot.index
        self._saved_commit = hard_state.commit
        self._kept_back: HardState | None = None
        # Handed over from persist to settle.
        self._install: Callable[[], None] | None = None

    @classmethod
    def start(
        cls,
        *,
        identity: GroupIdentity,
        wal: Wal,
        recovered: Recovered,
        snapshots: SnapshotStore,
        machine: StateMachine,
        chance: Chance,
        options: CoreOptions,
        bootstrap: bool,
    ) -> "Duties":
        """Goes on from what was durable; what was committed and not in the snapshot comes by Ready.

        `machine` is empty. `bootstrap` makes, on an empty log, the group of this one member,
        durable on return; without it an empty log is that of a joiner, in nobody's configuration.
        SwarmError if the snapshot is missing, damaged or of a later version; OSError.
        """
        snapshot = snapshots.restore(recovered.snapshot)
        hard_state = recovered.hard_state
        if snapshot is not None:
            machine.prepare(snapshot.data)()
        elif bootstrap and not recovered.entries and not hard_state.term:
            snapshot = _first_snapshot(identity, machine)
            snapshots.save(snapshot)
            wal.mark_snapshot(snapshot.metadata)
            hard_state = HardState(term=snapshot.metadata.term, commit=snapshot.metadata.index)
        metadata = snapshot.metadata if snapshot is not None else SnapshotMetadata()
        storage = MemoryStorage()
        if metadata.index:
            storage.apply_snapshot(Snapshot(metadata=metadata))
        storage.set_hard_state(hard_state)
        storage.append(recovered.entries)
        return cls(
            raw=RawNode(_config(identity.raft_id, storage, metadata.index, chance, options)),
            storage=storage,
            wal=wal,
            snapshots=snapshots,
            machine=machine,
            snapshot=metadata,
            hard_state=hard_state,
        )

    def needs_disk(self, ready: Ready) -> bool:
        """Whether `persist` would write; if not, it takes next to no time."""
        return bool(ready.must_sync or ready.entries or ready.snapshot or _changes_conf(ready))

    def persist(self, ready: Ready) -> None:
        """Makes durable what this Ready promises. OSError: the member must stop.

        A received snapshot first: it is decoded, so that none that this version cannot read ever
        counts, then saved, then marked. Then the entries that follow it, and the hard state.
        """
        if ready.snapshot is not None:
            self._install = self._machine.prepare(ready.snapshot.data)
            with self._saving:
                self._snapshots.save(ready.snapshot)
            self._wal.mark_snapshot(ready.snapshot.metadata)
            self._marked = self._saved_commit = ready.snapshot.metadata.index
            self._kept_back = None
        hard_state = self._kept_back if ready.hard_state is None else ready.hard_state
        if not self.needs_disk(ready):
            self._kept_back = hard_state
            return
        sync = ready.must_sync or _changes_conf(ready)
        *firsts, last = _portions(ready.entries)
        for portion in firsts:
            # The term must not come after its entries, and no commit index before the entry that
            # it names: so all but the last portion go with the commit index of before.
            early = None if hard_state is None else self._with_saved_commit(hard_state)
            self._wal.save(early, portion, sync=False)
        self._wal.save(hard_state, last, sync=sync)
        self._kept_back = None
        if hard_state is not None:
            self._saved_commit = hard_state.commit

    def settle(
        self, ready: Ready, local_of: Callable[[Entry], object | None] = _nothing
    ) -> list[Applied]:
        """After `persist`: takes over, installs a received snapshot, applies, advances.

        `local_of`: what the proposer of a command handed in here, if it was proposed here.
        """
        return list(self.settling(ready, local_of))

    def settling(
        self, ready: Ready, local_of: Callable[[Entry], object | None] = _nothing
    ) -> Iterator[Applied]:
        """`settle` in steps, an entry each, to be taken to their end.

        The core may take messages and proposals between them.
        """
        storage = self._storage
        if ready.snapshot is not None:
            self._take_over(ready.snapshot.metadata)
        storage.append(ready.entries)
        if ready.hard_state is not None:
            storage.set_hard_state(ready.hard_state)
        for entry in ready.committed_entries:
            if entry.type == Entry.TYPE_CONF_CHANGE:
                result = self._apply_change(entry)
            else:
                result = self._machine.apply(entry, local_of(entry))
            self.applied, self.applied_term = entry.index, entry.term
            self.applied_bytes += len(entry.data)
            yield Applied(entry, result)
        self.raw.advance()

    @property
    def outdated(self) -> bool:
        """Whether the core holds a snapshot that the next Ready will bring.

        It is in that one's configuration already, ahead of what is applied here.
        """
        return self.raw.status().first_index != self._storage.first_index()

    def plan_snapshot(self) -> SnapshotPlan:
        """A snapshot of the state as it is applied now. Not within a `settling`, nor if `outdated`.

        RuntimeError in the latter case.
        """
        if self.outdated:
            raise RuntimeError("a snapshot is about to replace this state")
        metadata = self.membership.metadata(self.applied, self.applied_term, self._conf)
        return SnapshotPlan(metadata, self._machine.capture())

    def keep_snapshot(
        self, metadata: SnapshotMetadata, data: bytes, *, max_snapshots: int = 0
    ) -> None:
        """Writes and marks a planned snapshot: both steps at once."""
        self.write_snapshot(metadata, data)
        self.mark_snapshot(metadata, max_snapshots=max_snapshots)

    def write_snapshot(self, metadata: SnapshotMetadata, data: bytes) -> None:
        """Writes a planned snapshot, which counts only once it is marked. OSError: as `persist`.

        May run in a thread of its own, beside `persist`: the log does not wait for it.
        """
        with self._saving:
            self._snapshots.save(Snapshot(metadata=metadata, data=data))

    def mark_snapshot(self, metadata: SnapshotMetadata, *, max_snapshots: int = 0) -> None:
        """Marks a written snapshot and drops what it makes superfluous, where the disk is used.

        `max_snapshots`: older ones to keep. Without effect if a newer one was received meanwhile.
        OSError: the member must stop.
        """
        if metadata.index <= self._marked:
            return
        self._wal.mark_snapshot(metadata)
        self._marked = metadata.index
        self._saved_commit = max(self._saved_commit, metadata.index)
        self._wal.compact(max(0, metadata.index - KEPT_ENTRIES))
        self._snapshots.prune(keep=1 + max_snapshots)

    def snapshot_kept(self, metadata: SnapshotMetadata) -> None:
        """After `keep_snapshot`: members that lag too far get it from now on."""
        if metadata.index <= self.snapshot_index:
            return
        storage = self._storage
        storage.create_snapshot(
            metadata.index, metadata.conf, members=metadata.members, removed=metadata.removed
        )
        self.snapshot_index = metadata.index
        self.applied_bytes = 0
        if metadata.index - KEPT_ENTRIES >= storage.first_index():
            storage.compact(metadata.index - KEPT_ENTRIES)

    def flush(self) -> None:
        """Writes the commit index that was kept back, unsynced. Where the disk is used."""
        if self._kept_back is not None:
            self._wal.save(self._kept_back, [], sync=False)
            self._saved_commit, self._kept_back = self._kept_back.commit, None

    def _take_over(self, snapshot: SnapshotMetadata) -> None:
        if self._install is None:
            raise RuntimeError("a snapshot is installed only once it is persisted")
        self._install()
        self._install = None
        self._storage.apply_snapshot(Snapshot(metadata=snapshot))
        self.membership = Membership.of(snapshot)
        self._conf = snapshot.conf
        self.applied = self.snapshot_index = snapshot.index
        self.applied_term = snapshot.term
        self.applied_bytes = 0

    def _apply_change(self, entry: Entry) -> object:
        change = ConfChange.FromString(entry.data)
        refusal = self.membership.refusal(change)
        if refusal is None:
            try:
                self._conf = self.raw.apply_conf_change(change)
            except ConfChangeError as error:
                refusal = failures.inadmissible(error)
        if refusal is not None:
            self.raw.apply_conf_change(None)
            return refusal
        self.membership.apply(change, self._conf)
        return self._conf

    def _with_saved_commit(self, hard_state: HardState) -> HardState:
        return HardState(term=hard_state.term, vote=hard_state.vote, commit=self._saved_commit)


def _config(
    raft_id: int, storage: MemoryStorage, applied: int, chance: Chance, options: CoreOptions
) -> Config:
    return Config(
        id=raft_id,
        storage=storage,
        applied=applied,
        chance=chance,
        election_tick=options.election_tick,
        heartbeat_tick=options.heartbeat_tick,
        max_size_per_msg=options.max_size_per_msg,
        max_committed_size_per_ready=options.max_committed_size_per_ready,
        max_uncommitted_size=options.max_uncommitted_size,
        max_inflight_msgs=options.max_inflight_msgs,
        max_inflight_bytes=options.max_inflight_bytes,
        disable_proposal_forwarding=True,
        lazy_commit=options.lazy_commit,
    )


def _first_snapshot(identity: GroupIdentity, machine: StateMachine) -> Snapshot:
    """Of the empty machine: where the log of a new group begins."""
    founders = Membership(identity.members)
    if identity.raft_id not in founders.members:
        founders = Membership([*identity.members, Member(raft_id=identity.raft_id)])
    metadata = founders.metadata(1, 1, ConfState(voters=[identity.raft_id]))
    return Snapshot(metadata=metadata, data=machine.capture()())


def _changes_conf(ready: Ready) -> bool:
    return any(entry.type == Entry.TYPE_CONF_CHANGE for entry in ready.committed_entries)


def _portions(entries: list[Entry]) -> list[list[Entry]]:
    """The entries in portions of at most SAVE_BYTES, one entry at least; one portion at least."""
    portions: list[list[Entry]] = [[]]
    size = 0
    for entry in entries:
        size += len(entry.data)
        if size > SAVE_BYTES and portions[-1]:
            portions.append([])
            size = len(entry.data)
        portions[-1].append(entry)
    return portions
