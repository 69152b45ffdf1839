"""What a Ready asks for, in the order that makes a crash at any point harmless. Synchronous.

A round, for the shell and for the simulator alike: `ready`, send `ready.early`, `disk.persist`,
send `ready.late`, `settle`. What blocks on the disk is manager.raft.node.disk_duties, and may run
in a thread; everything here belongs to the one thread that the core is used in. Never sends, never
waits, reads no clock.
"""

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
from manager.raft.core.config import Chance
from manager.raft.core.errors import ConfChangeError
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Ready
from manager.raft.core.storage import MemoryStorage
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.node import failures
from manager.raft.node.core_options import CoreOptions
from manager.raft.node.disk_duties import KEPT_ENTRIES, DiskDuties
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.machine import StateMachine
from manager.raft.node.membership import Membership


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
    """A snapshot to be made: `encode`, in any thread, then `keep_snapshot`."""

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
        self.disk = DiskDuties(
            wal,
            snapshots,
            machine.prepare,
            snapshot_index=snapshot.index,
            commit=hard_state.commit,
        )
        """What blocks on the disk."""

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
            raw=RawNode(options.config(identity.raft_id, storage, metadata.index, chance)),
            storage=storage,
            wal=wal,
            snapshots=snapshots,
            machine=machine,
            snapshot=metadata,
            hard_state=hard_state,
        )

    def settle(
        self, ready: Ready, local_of: Callable[[Entry], object | None] = _nothing
    ) -> list[Applied]:
        """After `disk.persist`: takes over, installs a received snapshot, applies, advances.

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

    def snapshot_kept(self, metadata: SnapshotMetadata) -> None:
        """After `disk.keep_snapshot`: members that lag too far get it from now on."""
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

    def _take_over(self, snapshot: SnapshotMetadata) -> None:
        self.disk.take_installer()()
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


def _first_snapshot(identity: GroupIdentity, machine: StateMachine) -> Snapshot:
    """Of the empty machine: where the log of a new group begins."""
    founders = Membership(identity.members)
    if identity.raft_id not in founders.members:
        founders = Membership([*identity.members, Member(raft_id=identity.raft_id)])
    metadata = founders.metadata(1, 1, ConfState(voters=[identity.raft_id]))
    return Snapshot(metadata=metadata, data=machine.capture()())
