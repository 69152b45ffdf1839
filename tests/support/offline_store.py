"""What a stopped manager holds on its disk, read as it would read it at its next start."""

from pathlib import Path

from api.v1.raft_pb2 import Entry
from manager.raft.durable.disk import DirectoryDisk
from manager.raft.durable.keyring import FileKeys
from manager.raft.durable.snapshots import SnapshotStore
from manager.raft.durable.wal import Wal
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub
from swarmctl.membership import MembershipStore


def store_of(state_dir: Path) -> Store:
    """The store of the manager whose daemon has this state directory, and does not run."""
    memberships = MembershipStore(state_dir)
    membership = memberships.read()
    assert membership is not None
    cluster_id, node_id = membership.cluster_id, membership.node_id
    keys = FileKeys(memberships.keys)
    disk = DirectoryDisk(memberships.log)
    try:
        wal, recovered = Wal.open(disk, cluster_id=cluster_id, node_id=node_id, keys=keys)
        store = Store()
        machine = StoreMachine(store, WatchHub())
        snapshots = SnapshotStore(disk, cluster_id=cluster_id, node_id=node_id, keys=keys)
        snapshot = snapshots.restore(recovered.snapshot)
        if snapshot is not None:
            machine.prepare(snapshot.data)()
        for entry in recovered.entries:
            if entry.index > store.version and entry.type == Entry.TYPE_COMMAND:
                machine.apply(entry, None)
        wal.close()
    finally:
        disk.release()
    return store
