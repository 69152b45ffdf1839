"""A manager's folder without a manager: its log and its place in the group, as it leaves them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from api.identity import Credentials
from api.times import timestamp
from api.v1 import objects_pb2, raft_pb2, specs_pb2, types_pb2
from manager import new_log
from manager.config import ManagerConfig
from manager.control.images import no_registry
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.keyring import FileKeys
from manager.raft.durable.wal import Wal
from manager.raft.node import identity
from manager.raft.node.identity import GroupIdentity
from manager.state.changes import Change, batch, encode
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub

NOW = 1_000_000.0
AT: Timestamp = timestamp(NOW)


def config_in(folder: Path, node_id: str = "one") -> ManagerConfig:
    """A manager whose state lies in `folder`."""
    return ManagerConfig(
        directory=folder / "manager",
        keys=FileKeys(folder / "manager.key"),
        relock=lambda kek, version: False,
        node_id=node_id,
        cluster_id="swarm",
        listen_address="127.0.0.1:2377",
        advertise_address=f"{node_id}:2377",
        credentials=Credentials(b"", b"", b""),
        clock=lambda: NOW,
        monotonic=lambda: 0.0,
        ask_registry=no_registry,
    )


def member(raft_id: int, node_id: str) -> raft_pb2.Member:
    return raft_pb2.Member(raft_id=raft_id, node_id=node_id, address=f"{node_id}:2377")


def manager_node(node_id: str, raft_id: int = 0) -> objects_pb2.Node:
    """A node that is to be a manager; with a raft id it is one."""
    node = objects_pb2.Node(id=node_id, spec=specs_pb2.NodeSpec(role=types_pb2.NODE_ROLE_MANAGER))
    if raft_id:
        node.role = types_pb2.NODE_ROLE_MANAGER
        node.manager.address = f"{node_id}:2377"
        node.manager.raft_id = raft_id
    return node


def service(name: str) -> objects_pb2.Service:
    made = objects_pb2.Service(id=name)
    made.spec.annotations.name = name
    return made


def state_of(objects: Iterable[objects_pb2.Object], index: int = 5) -> raft_pb2.StoreSnapshot:
    return raft_pb2.StoreSnapshot(index=index, objects=objects)


def command(index: int, *changes: Change) -> raft_pb2.Entry:
    data = raft_pb2.Command(batches=encode([batch(*changes)]), at=AT).SerializeToString()
    return raft_pb2.Entry(term=2, index=index, data=data)


def membership_change(index: int, *changes: raft_pb2.MemberChange) -> raft_pb2.Entry:
    return raft_pb2.Entry(
        term=2,
        index=index,
        type=raft_pb2.Entry.TYPE_CONF_CHANGE,
        data=raft_pb2.ConfChange(changes=changes).SerializeToString(),
    )


def leave_log(
    config: ManagerConfig,
    place: GroupIdentity,
    state: raft_pb2.StoreSnapshot,
    entries: Sequence[raft_pb2.Entry],
) -> None:
    """A log with a snapshot of the state and an empty change; `entries` are not known committed."""
    beginning = new_log.Beginning(state=state, index=state.index, term=1, changes=(), now=NOW)
    new_log.write(config.directory, config, place, beginning)
    disk = DirectoryDisk(config.directory)
    try:
        wal, _ = Wal.open(
            disk, cluster_id=config.cluster_id, node_id=config.node_id, keys=config.keys
        )
        wal.save(raft_pb2.HardState(term=2, commit=state.index + 1), entries, sync=True)
        wal.close()
    finally:
        disk.release()
    identity.save(config.identity_file, place)


def replayed(config: ManagerConfig) -> Store:
    """The state in a folder, with every entry of the log."""
    store, recovered, _ = new_log.read(config.directory, config)
    machine = StoreMachine(store, WatchHub())
    for entry in recovered.entries:
        if entry.type == raft_pb2.Entry.TYPE_COMMAND:
            machine.apply(entry, None)
    return store
