"""What operators may do with nodes, join tokens and other operators."""

import secrets
from collections.abc import Callable

from api import validate
from api.errors import Code, SwarmError
from api.ids import IdSource
from api.v1 import control_pb2, objects_pb2, types_pb2
from manager.ca.operators import issue_operator
from manager.ca.tokens import new_token
from manager.control.resolve import resolve
from manager.control.services import needed_request_id, stale
from manager.state.changes import batch, copy, create, delete, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store

TOKEN_SECRET_BYTES = 16


class ClusterAffairs:
    """Nodes, tokens, operators."""

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        *,
        ids: IdSource,
        clock: Callable[[], float],
        secret: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._proposer = proposer
        self._ids = ids
        self._clock = clock
        self._secret = secret

    def cluster(self) -> objects_pb2.Cluster:
        """The cluster object; there is exactly one."""
        for found in self._store.all(objects_pb2.Cluster):
            return found
        raise SwarmError(Code.UNAVAILABLE, "the cluster's state is not loaded yet")

    async def update_node(self, request: control_pb2.UpdateNodeRequest) -> objects_pb2.Node:
        """Replaces a node's spec: availability, labels. Changing the role is not built yet."""
        request_id = needed_request_id(request.request_id)
        node = resolve(self._store, objects_pb2.Node, request.key)
        if self._store.applied_request(request_id) is not None:
            return node
        validate.node_spec(request.spec)
        if request.spec.role != node.spec.role:
            raise SwarmError(
                Code.UNSUPPORTED,
                "the role of a node cannot change yet",
                why="a swarm has one manager until managers are replicated",
                field="role",
            )
        if request.version != node.meta.version:
            raise stale(f"node {node.id}", node.meta.version)
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
        node = resolve(self._store, objects_pb2.Node, request.key)
        name = node.description.hostname or node.id
        if node.role == types_pb2.NODE_ROLE_MANAGER:
            raise SwarmError(
                Code.REFUSED,
                f"node {name} is a manager",
                why="removing the last manager would lose the swarm",
                remedy=f"to end the swarm, run on {name}: swarmctl swarm leave --force",
            )
        if node.status.state != types_pb2.NODE_STATE_DOWN and not request.force:
            raise SwarmError(
                Code.REFUSED,
                f"node {name} is not down",
                remedy=f"run on {name}: swarmctl swarm leave; or remove it with --force",
            )
        await propose_one(
            self._proposer, batch(delete(node)), request_id=request_id, object_id=node.id
        )
        return control_pb2.RemoveResponse(id=node.id)

    async def rotate_token(
        self, request: control_pb2.RotateJoinTokenRequest
    ) -> objects_pb2.Cluster:
        """A new join token for the role; the old one is refused from now on."""
        request_id = needed_request_id(request.request_id)
        if self._store.applied_request(request_id) is not None:
            return self.cluster()
        changed = copy(self.cluster())
        token = new_token(changed.root_ca.certificate_pem, self._secret(TOKEN_SECRET_BYTES))
        if request.role == types_pb2.NODE_ROLE_MANAGER:
            changed.root_ca.manager_token = token
        else:
            changed.root_ca.worker_token = token
        await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=changed.id
        )
        return self.cluster()

    async def create_operator(
        self, request: control_pb2.CreateOperatorRequest
    ) -> control_pb2.OperatorCredentials:
        """Signs a certificate for an operator of this name."""
        request_id = needed_request_id(request.request_id)
        validate.annotations(types_pb2.Annotations(name=request.name))
        done = self._store.applied_request(request_id)
        operator_id = self._ids() if done is None else done.object_id
        cluster = self.cluster()
        operator, certificate = issue_operator(
            cluster, request.csr_pem, operator_id=operator_id, name=request.name, now=self._clock()
        )
        if done is None:
            await propose_one(
                self._proposer,
                batch(create(operator)),
                request_id=request_id,
                object_id=operator_id,
            )
        return control_pb2.OperatorCredentials(
            operator=operator,
            certificate_pem=certificate,
            ca_pem=cluster.root_ca.certificate_pem,
            managers=[
                node.manager.address
                for node in self._store.all(objects_pb2.Node)
                if node.manager.address
            ],
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
