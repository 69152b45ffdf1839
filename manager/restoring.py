"""A swarm out of a backup: one new manager with all that the backup holds, in a group of its own.

The same cluster, root, tokens and objects; the managers that were are workers that are down. The
host that restores is a new node: keys of nodes are in no backup.
"""

from collections.abc import Callable
from typing import NamedTuple

from google.protobuf.message import DecodeError

from api.certificates import key_digest
from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import objects_pb2, raft_pb2, types_pb2
from manager import new_log
from manager.ca.authority import node_expiry, public_key_of, sign
from manager.ca.bootstrap import new_node
from manager.config import ManagerConfig
from manager.new_group import moved_in
from manager.raft.node import identity
from manager.raft.node.identity import GroupIdentity
from manager.state.machine import StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub


class Restored(NamedTuple):
    """What `swarm restore` begins with, and the certificate (PEM) that the manager keeps.

    `cluster` and what else is in `store` is that of the backup, `node` the manager's own.
    """

    cluster: objects_pb2.Cluster
    node: objects_pb2.Node
    certificate_pem: bytes
    state: raft_pb2.StoreSnapshot
    store: Store


def restored(content: bytes, *, node_id: str, csr_pem: bytes, now: float) -> Restored:
    """The swarm in the content of a backup, and a manager of it whose key signed the request.

    REFUSED if it holds no swarm, or does not come back out of the store as it went in;
    UNSUPPORTED if it holds what only a later version knows.
    """
    state = _parsed(content)
    store = Store()
    StoreMachine(store, WatchHub()).prepare(content)()
    found = new_log.differences(store.capture().encode(), state)
    clusters = list(store.all(objects_pb2.Cluster))
    if found is not None or len(clusters) != 1 or not state.index:
        raise _no_state(f"{found} contradicts another object" if found else "there is no cluster")
    cluster = clusters[0]
    certificate = sign(
        cluster.root_ca,
        csr_pem,
        node_id=node_id,
        role="manager",
        cluster_id=cluster.id,
        now=now,
        expiry=node_expiry(cluster.spec),
    )
    active = types_pb2.NODE_AVAILABILITY_ACTIVE
    key = key_digest(public_key_of(csr_pem))
    node = new_node(node_id, types_pb2.NODE_ROLE_MANAGER, active, now, key=key)
    return Restored(cluster, node, certificate, state, store)


def found_again(
    config: ManagerConfig, random64: Callable[[], int], start: Restored, now: float
) -> GroupIdentity:
    """Writes log and place of the group that the restored swarm begins; blocks.

    Before the own node is added, what is on the disk equals the backup, object by object: INTERNAL
    otherwise. OSError. After a failure the folder is to be thrown away.
    """
    own = raft_pb2.Member(
        raft_id=random64(), node_id=config.node_id, address=config.advertise_address
    )
    place = GroupIdentity(own.raft_id, random64(), (own,))
    beginning = new_log.Beginning(
        state=start.state,
        index=start.state.index,
        term=1,
        changes=tuple(moved_in(start.store, start.node, own, timestamp(now))),
        now=now,
    )
    new_log.write(config.directory, config, place, beginning)
    identity.save(config.identity_file, place)
    return place


def _parsed(content: bytes) -> raft_pb2.StoreSnapshot:
    try:
        return raft_pb2.StoreSnapshot.FromString(content)
    except DecodeError:
        raise _no_state("it is no valid message") from None


def _no_state(why: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        "the backup holds no swarm that could be restored",
        why=why,
        remedy="use an older backup, and report this as a defect",
    )
