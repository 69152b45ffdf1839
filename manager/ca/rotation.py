"""Puts another root in the place of the cluster's present one; no node is left behind. A core.

From the beginning of a rotation on the new root signs, and both are trusted. The nodes are told,
and renew their certificates; when none that is up shows one of another root any more, the old root
is trusted no more. So neither a connection nor a task ends. A node that was down meanwhile
exchanges its certificate later (manager/ca/service.py). All of it is state of the cluster: a new
leader goes on where the last one was (SwarmKit, ca/reconciler.go).
"""

from collections.abc import Callable, Iterator

from api.certificates import certificates_in, digest_of
from api.errors import Code, SwarmError
from api.times import timestamp
from api.token import SECRET_BYTES, new_token
from api.v1 import objects_pb2, types_pb2
from manager.ca.authority import cross_sign, root_der
from manager.decision import Decision
from manager.state.changes import Batch, Event, batch, copy, update
from manager.state.store import View

MOST_FORMER = 8
"""Former roots that are remembered: a node that was away for more rotations joins again."""
MOST_BROKEN_OFF = 4
"""Rotations in a row that may be begun without one of them coming to its end."""

Cluster = objects_pb2.Cluster
Node = objects_pb2.Node


def begin(cluster: Cluster, new: objects_pb2.RootCa, *, rotation_id: str, now: float) -> Cluster:
    """A copy of the cluster in which the root `new`, certificate and key, takes over.

    A rotation that is under way is broken off: what its root has signed stays good until the new
    one has come to its end. REFUSED if too many were.
    """
    changed = copy(cluster)
    root = changed.root_ca
    rotation = objects_pb2.RootRotation(
        id=rotation_id,
        certificate_pem=new.certificate_pem,
        key_pem=new.key_pem,
        cross_pem=cross_sign(root, new.certificate_pem, now),
        started_at=timestamp(now),
    )
    if root.HasField("rotation"):
        rotation.broken_off.append(root.rotation.certificate_pem)
        rotation.broken_off.extend(root.rotation.broken_off)
    if len(rotation.broken_off) > MOST_BROKEN_OFF:
        raise SwarmError(
            Code.REFUSED,
            "the root certificate cannot be rotated now",
            why=f"{MOST_BROKEN_OFF} rotations were begun, and none has come to its end",
            remedy="see what nodes the present one waits for: swarmctl swarm ca",
        )
    root.rotation.CopyFrom(rotation)
    return changed


def finish(cluster: Cluster, secret: Callable[[int], bytes]) -> Cluster:
    """A copy of the cluster with the new root in its place, and join tokens that name it.

    `secret(n)` gives n random bytes.
    """
    changed = copy(cluster)
    root, rotation = changed.root_ca, cluster.root_ca.rotation
    last = objects_pb2.FormerRoot(
        certificate_pem=root.certificate_pem, cross_pem=rotation.cross_pem
    )
    unused = [objects_pb2.FormerRoot(certificate_pem=pem) for pem in rotation.broken_off]
    kept = [last, *unused, *cluster.root_ca.former][:MOST_FORMER]
    root.certificate_pem, root.key_pem = rotation.certificate_pem, rotation.key_pem
    root.ClearField("rotation")
    root.ClearField("former")
    root.former.extend(kept)
    der = root_der(root)
    root.worker_token = str(new_token(der, secret(SECRET_BYTES)))
    root.manager_token = str(new_token(der, secret(SECRET_BYTES)))
    return changed


def waited_for(cluster: Cluster, nodes: Iterator[Node]) -> list[Node]:
    """The nodes without which the rotation does not end: those that are up, or may be, and have not
    come with a certificate of the new root yet. A node that never came is none of them.
    """
    (new,) = certificates_in(cluster.root_ca.rotation.certificate_pem)
    wanted = digest_of(new)
    return [
        node
        for node in nodes
        if node.status.state != types_pb2.NODE_STATE_DOWN
        and (node.status.state == types_pb2.NODE_STATE_READY or node.HasField("description"))
        and node.certificate.root != wanted
    ]


class RotationLoop:
    """Fulfils Loop: ends a rotation when it can."""

    name = "rotation of the root"
    kinds = (Cluster, Node)
    debounce = 0.05

    def __init__(self, secret: Callable[[int], bytes]) -> None:
        self._secret = secret
        self._under_way = True

    def reset(self, view: View) -> None:
        """Looks at everything."""
        self._under_way = True

    def observe(self, event: Event) -> bool:
        """Wants to look while there is a rotation, at every node that comes, goes or renews."""
        if isinstance(event.object, Cluster):
            self._under_way = event.object.root_ca.HasField("rotation")
        return self._under_way

    def decide(self, view: View, now: float) -> Decision:
        """Ends the rotation if nobody is waited for."""
        batches: list[Batch] = []
        for cluster in view.all(Cluster):
            self._under_way = cluster.root_ca.HasField("rotation")
            if self._under_way and not waited_for(cluster, iter(view.all(Node))):
                batches.append(batch(update(finish(cluster, self._secret))))
        return Decision(batches)

    def refused(self, batch: Batch) -> None:
        """The cluster was changed meanwhile: the next look reads it anew."""
        self._under_way = True
