"""A log that begins with a given state: a new group's, in a folder of its own, written at a stroke.

It holds a snapshot of the state as it was, and one entry, which is committed, with what the new
group changes in it. The snapshot is read back from the disk and compared before it counts. Calls
block. Decides nothing of whose state it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from google.protobuf.message import Message

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import objects_pb2, raft_pb2
from manager.config import ManagerConfig
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Recovered, Wal
from manager.raft.node.identity import GroupIdentity
from manager.raft.node.membership import METADATA_BYTES, Membership
from manager.state.changes import Change, batch, encode
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new group begins with.

    `state`: what it takes over, up to entry `index` of `term` in the log that it comes from;
    `changes`: what it does to it, wall clock `now`; `removed`: raft ids that nobody may have again.
    """

    state: raft_pb2.StoreSnapshot
    index: int
    term: int
    changes: tuple[Change, ...]
    now: float
    removed: frozenset[int] = frozenset()


def write(directory: Path, config: ManagerConfig, place: GroupIdentity, log: Beginning) -> None:
    """Makes the folder, which must not be there; durable on return.

    OSError, and then the folder is to be thrown away; SwarmError INTERNAL if what was written does
    not hold every object of the state.
    """
    disk = DirectoryDisk(directory)
    try:
        wal, _ = _open(disk, config)
        founders = Membership(place.members, _within_room(log.removed))
        conf = raft_pb2.ConfState(voters=[place.raft_id])
        metadata = founders.metadata(log.index, log.term, conf)
        data = log.state.SerializeToString()
        _snapshots(disk, config).save(raft_pb2.Snapshot(metadata=metadata, data=data))
        wal.mark_snapshot(metadata)
        first = _entry(log)
        commit = raft_pb2.HardState(term=first.term, commit=first.index)
        wal.save(commit, [first], sync=True)
        wal.close()
    finally:
        disk.release()
    store, _, _ = read(directory, config)
    found = differences(store.capture().encode(), log.state)
    if found is not None:
        raise SwarmError(
            Code.INTERNAL,
            "the state was not taken over",
            why=f"{found} is not on this disk as it was in what it was made from",
            remedy="look after the disk and the memory of this host; nothing was changed",
        )


def read(directory: Path, config: ManagerConfig) -> tuple[Store, Recovered, Membership]:
    """The snapshot's state, the entries behind it, and who was in the group at that point.

    SwarmError as Wal.open, SnapshotStore.restore and StoreMachine.prepare.
    """
    disk = DirectoryDisk(directory)
    try:
        wal, recovered = _open(disk, config)
        snapshot = _snapshots(disk, config).restore(recovered.snapshot)
        wal.close()
    finally:
        disk.release()
    store = Store()
    if snapshot is None:
        return store, recovered, Membership()
    StoreMachine(store, WatchHub()).prepare(snapshot.data)()
    return store, recovered, Membership.of(snapshot.metadata)


def differences(one: raft_pb2.StoreSnapshot, other: raft_pb2.StoreSnapshot) -> str | None:
    """The first thing in which two states differ, object by object, in words; None if they do not.

    What a later version has put into an object counts too.
    """
    for mine, theirs in zip_longest(one.objects, other.objects):
        if mine is None or theirs is None or _bytes(mine) != _bytes(theirs):
            return _name(theirs if theirs is not None else mine)
    for mine, theirs in zip_longest(one.requests, other.requests):
        if mine != theirs:
            return "a remembered request"
    return None if one.index == other.index else "the index"


def _entry(log: Beginning) -> raft_pb2.Entry:
    command = raft_pb2.Command(batches=encode([batch(*log.changes)]), at=timestamp(log.now))
    return raft_pb2.Entry(
        term=log.term,
        index=log.index + 1,
        type=raft_pb2.Entry.TYPE_COMMAND,
        data=command.SerializeToString(),
    )


def _within_room(removed: frozenset[int]) -> Iterable[int]:
    """None of them where they would fill half of the room for such ids.

    They are kept to be on the safe side alone: whoever had them is of another group, and refused
    for that. And a group that has run out of room gets it back by a new group.
    """
    return removed if 20 * len(removed) <= METADATA_BYTES else ()


def _open(disk: DirectoryDisk, config: ManagerConfig) -> tuple[Wal, Recovered]:
    return Wal.open(disk, cluster_id=config.cluster_id, node_id=config.node_id, keys=config.keys)


def _snapshots(disk: DirectoryDisk, config: ManagerConfig) -> SnapshotStore:
    return SnapshotStore(
        disk, cluster_id=config.cluster_id, node_id=config.node_id, keys=config.keys
    )


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _name(wrapped: objects_pb2.Object) -> str:
    kind = wrapped.WhichOneof("kind")
    return "an unknown object" if kind is None else f"{kind} {getattr(wrapped, kind).id}"
