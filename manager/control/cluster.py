"""What operators may do with nodes, join tokens and other operators."""

import secrets
from collections.abc import Callable

from api import validate
from api.errors import Code, SwarmError
from api.ids import IdSource
from api.token import SECRET_BYTES
from api.v1 import control_pb2, objects_pb2, types_pb2
from manager.ca.operators import issue_operator, the_cluster
from manager.ca.tokens import rotated
from manager.control.resolve import resolve
from manager.control.services import needed_request_id, stale
from manager.state.changes import batch, copy, delete, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store


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
            return the_cluster(self._store)
        changed = rotated(the_cluster(self._store), request.role, self._secret(SECRET_BYTES))
        await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=changed.id
        )
        return the_cluster(self._store)

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
