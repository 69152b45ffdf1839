"""What operators may do with nodes, the cluster's settings and keys, and other operators."""

import secrets
from collections.abc import AsyncIterator, Callable

from api import validate
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.token import SECRET_BYTES
from api.unlock_key import format_unlock_key
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from manager.ca.authority import new_root, node_expiry
from manager.ca.given_root import given_root
from manager.ca.operators import issue_operator, the_cluster
from manager.ca.rotation import begin
from manager.ca.tokens import rotated
from manager.ca.unlock import settle
from manager.control.backup import backup
from manager.control.networks import gone_with
from manager.control.requests import needed_request_id, stale
from manager.control.resolve import resolve
from manager.state.changes import Batch, batch, copy, delete, update
from manager.state.proposer import Proposer, propose_anew, propose_one
from manager.state.store import Store

_MANAGER = types_pb2.NODE_ROLE_MANAGER


class ClusterAffairs:
    """Nodes, settings, tokens, operators."""

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        *,
        ids: IdSource,
        clock: Callable[[], float],
        needed: Callable[[str], SwarmError | None],
        secret: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`needed(node_id)`: why the managers cannot do without this one now, or None."""
        self._store = store
        self._proposer = proposer
        self._ids = ids
        self._clock = clock
        self._needed = needed
        self._secret = secret

    async def update_node(self, request: control_pb2.UpdateNodeRequest) -> objects_pb2.Node:
        """Replaces a node's spec: availability, labels, role. The node takes its new role later.

        REFUSED if a manager is to become a worker, and too few would be left to agree.
        """
        request_id = needed_request_id(request.request_id)
        node = resolve(self._store, objects_pb2.Node, request.key)
        if self._store.applied_request(request_id) is not None:
            return node
        validate.node_spec(request.spec)
        if request.version != node.meta.version:
            raise stale(f"node {node.id}", node.meta.version)
        if node.spec.role == _MANAGER != request.spec.role:
            refusal = self._needed(node.id)
            if refusal is not None:
                raise refusal
        changed = copy(node)
        changed.spec.CopyFrom(request.spec)
        await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=node.id
        )
        return resolve(self._store, objects_pb2.Node, node.id)

    async def remove_node(self, request: control_pb2.RemoveRequest) -> control_pb2.RemoveResponse:
        """Removes a node that is down, or any worker with `force`; its certificate is void then."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return control_pb2.RemoveResponse(id=done.object_id)

        def removal() -> tuple[Batch, str]:
            node = resolve(self._store, objects_pb2.Node, request.key)
            _check_removable(node, force=request.force)
            return batch(delete(node), *gone_with(self._store, node)), node.id

        node_id = await propose_anew(self._proposer, removal, request_id=request_id)
        return control_pb2.RemoveResponse(id=node_id)

    async def update_cluster(
        self, request: control_pb2.UpdateClusterRequest
    ) -> objects_pb2.Cluster:
        """Replaces the cluster's spec that has `version`, and its unlock key if that is asked for.

        CONFLICT if somebody was faster; managers follow a changed unlock key one by one.
        """
        request_id = needed_request_id(request.request_id)
        if self._store.applied_request(request_id) is not None:
            return the_cluster(self._store)
        if not request.HasField("spec"):
            raise invalid("spec", "a spec is needed", why="an empty one would unlock the managers")
        validate.cluster_spec(request.spec)
        cluster = the_cluster(self._store)
        if request.version != cluster.meta.version:
            raise stale("the cluster", cluster.meta.version)
        _check_unchangeable(cluster.spec, request.spec)
        changed = copy(cluster)
        changed.spec.CopyFrom(request.spec)
        settle(changed, self._secret, rotate=request.rotate_unlock_key)
        await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=changed.id
        )
        return the_cluster(self._store)

    def unlock_key(self) -> control_pb2.UnlockKey:
        """What operators type to unlock a manager; empty while managers are not locked."""
        key = the_cluster(self._store).unlock_key
        return control_pb2.UnlockKey(key=format_unlock_key(key) if key else "")

    async def rotate_token(
        self, request: control_pb2.RotateJoinTokenRequest
    ) -> objects_pb2.Cluster:
        """A new join token for the role; the old one is refused from now on."""
        request_id = needed_request_id(request.request_id)
        if self._store.applied_request(request_id) is not None:
            return the_cluster(self._store)
        secret = self._secret(SECRET_BYTES)

        def rotation() -> tuple[Batch, str]:
            changed = rotated(the_cluster(self._store), request.role, secret)
            return batch(update(changed)), changed.id

        await propose_anew(self._proposer, rotation, request_id=request_id)
        return the_cluster(self._store)

    async def rotate_root(self, request: control_pb2.RotateRootCaRequest) -> objects_pb2.Cluster:
        """Begins to put another root in the place of the present one; see manager/ca/rotation.py.

        INVALID or REFUSED if the root that was given cannot be the cluster's.
        """
        request_id = needed_request_id(request.request_id)
        if self._store.applied_request(request_id) is not None:
            return the_cluster(self._store)
        rotation_id = self._ids()

        def rotation() -> tuple[Batch, str]:
            changed = self._rotating(request, rotation_id)
            return batch(update(changed)), changed.id

        await propose_anew(self._proposer, rotation, request_id=request_id)
        return the_cluster(self._store)

    def _rotating(
        self, request: control_pb2.RotateRootCaRequest, rotation_id: str
    ) -> objects_pb2.Cluster:
        cluster, now = copy(the_cluster(self._store)), self._clock()
        if request.HasField("node_cert_expiry"):
            cluster.spec.node_cert_expiry.CopyFrom(request.node_cert_expiry)
            validate.cluster_spec(cluster.spec)
        if request.certificate_pem or request.key_pem:
            given = request.certificate_pem, request.key_pem
            expiry = node_expiry(cluster.spec)
            new = given_root(*given, cluster.root_ca, now=now, expiry=expiry)
        else:
            new = new_root(cluster.id, now)
        return begin(cluster, new, rotation_id=rotation_id, now=now)

    def backup(self, request: control_pb2.BackupRequest) -> AsyncIterator[control_pb2.BackupChunk]:
        """The state as it is now, sealed under the caller's key; see `backup`."""
        return backup(self._store, request.key, now=self._clock(), secret=self._secret)

    async def create_operator(
        self, request: control_pb2.CreateOperatorRequest
    ) -> control_pb2.OperatorCredentials:
        """Signs a certificate for an operator of this name."""
        issued = await issue_operator(
            self._store,
            self._proposer,
            name=request.name,
            csr_pem=request.csr_pem,
            operator_id=self._ids(),
            request_id=needed_request_id(request.request_id),
            now=self._clock(),
        )
        nodes = self._store.all(objects_pb2.Node)
        return control_pb2.OperatorCredentials(
            operator=issued.operator,
            certificate_pem=issued.certificate_pem,
            ca_pem=issued.ca_pem,
            managers=[node.manager.address for node in nodes if node.manager.address],
        )

    async def remove_operator(
        self, request: control_pb2.RemoveRequest
    ) -> control_pb2.RemoveResponse:
        """Revokes an operator's certificates."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return control_pb2.RemoveResponse(id=done.object_id)
        operator = resolve(self._store, objects_pb2.Operator, request.key)
        await propose_one(
            self._proposer, batch(delete(operator)), request_id=request_id, object_id=operator.id
        )
        return control_pb2.RemoveResponse(id=operator.id)


def _check_unchangeable(old: specs_pb2.ClusterSpec, new: specs_pb2.ClusterSpec) -> None:
    for field in ("address_pools", "subnet_size", "data_path_port"):
        if getattr(old, field) != getattr(new, field):
            raise invalid(
                field,
                "this is settled when a swarm is made, and cannot change",
                why="networks have been made by it",
            )


def _check_removable(node: objects_pb2.Node, *, force: bool) -> None:
    name = node.description.hostname or node.id
    if node.spec.role == _MANAGER or node.HasField("manager"):
        remedy = "it was demoted: wait until it has no MANAGER STATUS any more: swarmctl node ls"
        if node.spec.role == _MANAGER:
            remedy = f"make it a worker: swarmctl node demote {name}"
        raise SwarmError(
            Code.REFUSED,
            f"node {name} is a manager",
            why="its seat among the managers has to be free first",
            remedy=remedy,
        )
    if node.status.state != types_pb2.NODE_STATE_DOWN and not force:
        raise SwarmError(
            Code.REFUSED,
            f"node {name} is not down",
            remedy=f"run on {name}: swarmctl swarm leave; or remove it with --force",
        )
