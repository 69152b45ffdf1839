"""Hands out certificates: to joiners with a token, to nodes whose certificate ends or has ended.

The shell around authority, tokens, limiter and members: it reads the store, proposes, and signs.
"""

import hashlib
import logging

from api.certificates import is_issued_by, is_signed_by
from api.errors import Code, SwarmError, invalid
from api.identity import ROLE_OF_NODE, Identity, identity_of
from api.ids import IdSource
from api.serving import Context, caller
from api.v1 import ca_pb2, ca_pb2_grpc, objects_pb2, types_pb2
from hostkit.clock import Clock
from manager.ca.authority import node_expiry, public_key_of, sign
from manager.ca.behalf import is_forwarded
from manager.ca.bootstrap import new_node
from manager.ca.limiter import RateLimiter, address_of_peer
from manager.ca.members import granted_role
from manager.ca.operators import the_cluster
from manager.ca.tokens import role_of_token
from manager.state.changes import batch, copy, create, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import View

_CERTIFICATE_LIMIT = 16 << 10
_ATTEMPTS = 5

logger = logging.getLogger(__name__)


class Issuer:
    """Signs for nodes that are in the store, and notes there what role their certificate has."""

    def __init__(self, view: View, proposer: Proposer, wall: Clock) -> None:
        self.view = view
        self.proposer = proposer
        self.wall = wall

    async def issue(self, node_id: str, csr_pem: bytes) -> ca_pb2.IssueResponse:
        """A certificate for the node; UNAUTHENTICATED if it is no member any more."""
        node = await self._settle_role(node_id)
        cluster = the_cluster(self.view)
        certificate = sign(
            cluster.root_ca,
            csr_pem,
            node_id=node.id,
            role=ROLE_OF_NODE[node.role],
            cluster_id=cluster.id,
            now=self.wall(),
            expiry=node_expiry(cluster.spec),
        )
        return ca_pb2.IssueResponse(
            node_id=node.id,
            certificate_pem=certificate,
            ca_pem=cluster.root_ca.certificate_pem,
            cluster_id=cluster.id,
            role=node.role,
        )

    async def _settle_role(self, node_id: str) -> objects_pb2.Node:
        """The node, once its observed role is the one that it is granted."""
        for _ in range(_ATTEMPTS):
            node = self.view.get(objects_pb2.Node, node_id)
            if node is None:
                raise _removed(node_id)
            if node.role == granted_role(node):
                return node
            changed = copy(node)
            changed.role = granted_role(node)
            try:
                await propose_one(self.proposer, batch(update(changed)))
                return changed
            except SwarmError as error:
                if error.code not in (Code.CONFLICT, Code.NOT_FOUND):
                    raise
        raise SwarmError(
            Code.CONFLICT,
            f"node {node_id} was changed again and again meanwhile",
            remedy="try again",
        )


class CaService(ca_pb2_grpc.CaServicer):
    """The identity port: its callers have no certificate, so every request is proven by itself."""

    def __init__(
        self,
        view: View,
        proposer: Proposer,
        *,
        wall: Clock,
        monotonic: Clock,
        new_id: IdSource,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._issuer = Issuer(view, proposer, wall)
        self._view = view
        self._proposer = proposer
        self._wall = wall
        self._monotonic = monotonic
        self._new_id = new_id
        self._limiter = limiter or RateLimiter()

    async def GetRoot(
        self, request: ca_pb2.GetRootRequest, context: Context
    ) -> ca_pb2.GetRootResponse:
        """The root certificate, which is no secret."""
        return ca_pb2.GetRootResponse(ca_pem=the_cluster(self._view).root_ca.certificate_pem)

    async def Issue(self, request: ca_pb2.IssueRequest, context: Context) -> ca_pb2.IssueResponse:
        """A certificate for a new node with a token, or for a member whose old one has ended."""
        if not is_forwarded(context.invocation_metadata()) or not _is_from_manager():
            self._limit(context.peer())  # a manager that passes a call on has limited it before
        public_key_of(request.csr_pem)
        match request.WhichOneof("proof"):
            case "token":
                node_id = await self._join(request)
            case "expired":
                node_id = prove_expired(the_cluster(self._view), request)
            case _:
                raise invalid("proof", "a join token or an earlier certificate is needed")
        return await self._issuer.issue(node_id, request.csr_pem)

    async def _join(self, request: ca_pb2.IssueRequest) -> str:
        """Makes the node, or finds the one that an earlier try of this request made."""
        role = role_of_token(the_cluster(self._view).root_ca, request.token)
        if request.availability not in types_pb2.NodeAvailability.values():
            raise invalid("availability", f"{request.availability} is no availability")
        node_id = self._new_id()
        applied = await propose_one(
            self._proposer,
            batch(create(new_node(node_id, role, request.availability, self._wall()))),
            request_id=f"issue:{hashlib.sha256(request.csr_pem).hexdigest()}",
            object_id=node_id,
        )
        if not applied.repeated:
            logger.info("node %s joined as %s", node_id, ROLE_OF_NODE[role])
        return applied.object_id

    def _limit(self, peer: str) -> None:
        address = address_of_peer(peer)
        wait = self._limiter.wait(address, self._monotonic())
        if wait:
            raise SwarmError(
                Code.EXHAUSTED,
                "too many requests for certificates",
                why=f"from {address}",
                remedy=f"try again in {wait:.1f} s",
            )


class CaRenewalService(ca_pb2_grpc.CaRenewalServicer):
    """Renewal over mutual TLS, behind an Authorizer."""

    def __init__(self, view: View, proposer: Proposer, *, wall: Clock) -> None:
        self._issuer = Issuer(view, proposer, wall)

    async def Renew(self, request: ca_pb2.RenewRequest, context: Context) -> ca_pb2.IssueResponse:
        """A new certificate for the caller, with the role that it has now."""
        public_key_of(request.csr_pem)
        return await self._issuer.issue(caller().id, request.csr_pem)


def _is_from_manager() -> bool:
    """Whether the call came over the control port, from a manager."""
    try:
        return caller().role == "manager"
    except SwarmError:
        return False


def prove_expired(cluster: objects_pb2.Cluster, request: ca_pb2.IssueRequest) -> str:
    """The node that owns the old certificate and signed the request with its key. Pure.

    UNAUTHENTICATED unless this cluster's root signed the certificate; its dates are ignored.
    """
    proof = request.expired
    if len(proof.certificate_pem) > _CERTIFICATE_LIMIT:
        raise invalid("expired.certificate_pem", "the certificate is too long")
    identity: Identity = identity_of(proof.certificate_pem)
    if not is_issued_by(proof.certificate_pem, cluster.root_ca.certificate_pem):
        raise _unproven("this cluster's root did not sign it")
    if identity.cluster_id != cluster.id or identity.role == "operator":
        raise _unproven("it is not that of a node of this cluster")
    if not is_signed_by(proof.certificate_pem, proof.signature, request.csr_pem):
        raise _unproven("the request was not signed with its key")
    return identity.id


def _unproven(why: str) -> SwarmError:
    return SwarmError(
        Code.UNAUTHENTICATED,
        "the earlier certificate is refused",
        why=why,
        remedy="leave the swarm with `swarmctl swarm leave --force` and join again with a token",
    )


def _removed(node_id: str) -> SwarmError:
    return SwarmError(
        Code.UNAUTHENTICATED,
        f"node {node_id} is not a member of this cluster any more",
        why="it was removed",
        remedy="leave the swarm with `swarmctl swarm leave --force` and join again with a token",
    )
