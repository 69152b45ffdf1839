"""A manager whose group has lost its quorum goes on alone, as a new group with the state it holds.

The state is that of its snapshot and of ALL entries on its disk, also those that it does not know
to be committed: they may have been acknowledged by a leader that is gone, and what was acknowledged
must not be lost. So the state may also hold what was never acknowledged to anybody. It lacks what
the lost managers agreed on without this one.

The new group has an id of its own, and so has the manager's seat: whoever was left behind is
refused, and told why (docs/decisions/0011).

On the disk: a new log is made whole beside the old one, in a folder that is called after the new
group's id. The new place in the group, one file, replaces the old one: from that rename on the new
group is the one that goes on. Then the folders change places. `settle`, before each start, ends
what a crash has interrupted: towards the new group where the place is its, else towards the old.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, raft_pb2
from hostkit.durable import sync_folder
from manager import new_log
from manager.config import ManagerConfig
from manager.new_group import left_alone
from manager.raft.node import identity
from manager.raft.node.identity import GroupIdentity
from manager.seat import present_seat
from manager.state.machine import StoreMachine
from manager.state.watch import WatchHub

_OLD = "old"
_BESIDE = re.compile(r"[0-9a-f]{16}|old")


def refound(config: ManagerConfig, random64: Callable[[], int], now: float) -> None:
    """Makes the log that of a new group of this manager alone. It must not run; blocks.

    REFUSED if its log does not hold the swarm's state; SwarmError as when a manager starts, if its
    log cannot be read; OSError. After a failure call `settle`: then nothing has changed, or all.
    """
    for _ in steps(config, random64, now):
        pass


def steps(config: ManagerConfig, random64: Callable[[], int], now: float) -> Iterator[None]:
    """`refound` step by step; between any two of them the power may fail."""
    settle(config)
    former = present_seat(config)
    raft_id, group_id = random64(), random64()
    own = raft_pb2.Member(raft_id=raft_id, node_id=config.node_id, address=config.advertise_address)
    place = GroupIdentity(raft_id, group_id, (own,))
    beginning = _beginning(config, former, own, now)
    fresh = _beside(config, _name_of(place))
    new_log.write(fresh, config, place, beginning)
    yield
    identity.save(config.identity_file, place)
    yield
    yield from _change_places(config, fresh)


def settle(config: ManagerConfig) -> None:
    """Ends a `refound` that was interrupted, one way or the other, and clears up after it."""
    place = identity.load(config.identity_file)
    if place is not None and (fresh := _beside(config, _name_of(place))).is_dir():
        for _ in _change_places(config, fresh):
            pass
    log = config.directory.name
    for leftover in config.directory.parent.glob(f"{log}.*"):
        if leftover.is_dir() and _BESIDE.fullmatch(leftover.name.removeprefix(f"{log}.")):
            shutil.rmtree(leftover)


def _change_places(config: ManagerConfig, fresh: Path) -> Iterator[None]:
    old = _beside(config, _OLD)
    if config.directory.is_dir():
        if old.is_dir():
            shutil.rmtree(old)
        config.directory.rename(old)
        sync_folder(config.directory.parent)
    yield
    fresh.rename(config.directory)
    sync_folder(config.directory.parent)
    yield
    if old.is_dir():
        shutil.rmtree(old)


def _beginning(
    config: ManagerConfig, former: GroupIdentity, own: raft_pb2.Member, now: float
) -> new_log.Beginning:
    store, recovered, membership = new_log.read(config.directory, config)
    machine = StoreMachine(store, WatchHub())
    used = {former.raft_id, *(each.raft_id for each in former.members)}
    used |= membership.members.keys() | membership.removed
    index, term = _last(recovered.snapshot, recovered.hard_state)
    for entry in recovered.entries:
        if entry.type == raft_pb2.Entry.TYPE_CONF_CHANGE:
            change = raft_pb2.ConfChange.FromString(entry.data)
            used |= {each.member.raft_id for each in change.changes}
        else:
            machine.apply(entry, None)
        index, term = entry.index, max(term, entry.term)
    if store.get(objects_pb2.Node, config.node_id) is None:
        raise SwarmError(
            Code.REFUSED,
            "this manager does not hold the swarm's state",
            why="it has joined, and the state had not come when the others were lost",
            remedy="force the new group on another manager, or restore a backup: "
            "swarmctl swarm restore",
        )
    return new_log.Beginning(
        state=store.capture().encode(),
        index=index,
        term=term,
        changes=tuple(left_alone(store, own)),
        now=now,
        removed=frozenset(used - {0}),
    )


def _last(
    snapshot: raft_pb2.SnapshotMetadata | None, hard_state: raft_pb2.HardState
) -> tuple[int, int]:
    """The index of the snapshot, and the latest term that anything is known of."""
    return (0 if snapshot is None else snapshot.index), hard_state.term


def _name_of(place: GroupIdentity) -> str:
    return f"{place.group_id:016x}"


def _beside(config: ManagerConfig, name: str) -> Path:
    return config.directory.with_name(f"{config.directory.name}.{name}")
