"""Hands out certificates: to joiners with a token, to nodes whose certificate ends or has ended.

The shell around authority, tokens, limiter and members: it reads the store, proposes, and signs.
"""

import hashlib
import logging

from api.certificates import key_digest
from api.errors import Code, SwarmError, invalid
from api.identity import ROLE_OF_NODE, Role
from api.ids import IdSource
from api.serving import Context, caller
from api.times import seconds_of
from api.v1 import ca_pb2, ca_pb2_grpc, objects_pb2, types_pb2
from hostkit.clock import Clock
from manager.ca.authority import node_expiry, public_key_of, sign
from manager.ca.behalf import is_forwarded
from manager.ca.bootstrap import new_node
from manager.ca.keys import signed
from manager.ca.limiter import Bucket, RateLimiter, address_of_peer
from manager.ca.members import granted_role
from manager.ca.operators import the_cluster
from manager.ca.proof import prove, removed
from manager.ca.roots import former, trusted
from manager.ca.tokens import role_of_token
from manager.state.changes import batch, copy, create, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import View

_ATTEMPTS = 5
IN_ALL_RATE, IN_ALL_BURST = 50.0, 1000
"""How many a second, and at once, are served from all addresses together; apart for those with a
token and for the others, so that neither keeps the other out.
"""

logger = logging.getLogger(__name__)


class Issuer:
    """Signs for those that are in the store, and notes there what a node's certificate says."""

    def __init__(self, view: View, proposer: Proposer, wall: Clock) -> None:
        self.view = view
        self.proposer = proposer
        self.wall = wall

    async def issue(self, node_id: str, csr_pem: bytes) -> ca_pb2.IssueResponse:
        """A certificate for the node; UNAUTHENTICATED if it is no member any more."""
        node = await self._settle(node_id, key_digest(public_key_of(csr_pem)))
        expiry = node_expiry(the_cluster(self.view).spec)
        return self._answer(node.id, ROLE_OF_NODE[node.role], csr_pem, expiry, node.role)

    def reissue(self, operator: objects_pb2.Operator, csr_pem: bytes) -> ca_pb2.IssueResponse:
        """A certificate for an operator, as long as the one of before was to be good."""
        left = seconds_of(operator.expires_at) - self.wall()
        return self._answer(operator.id, "operator", csr_pem, left)

    def _answer(
        self,
        owner: str,
        role: Role,
        csr_pem: bytes,
        expiry: float,
        node_role: types_pb2.NodeRole.ValueType = types_pb2.NODE_ROLE_WORKER,
    ) -> ca_pb2.IssueResponse:
        cluster = the_cluster(self.view)
        certificate = sign(
            cluster.root_ca,
            csr_pem,
            node_id=owner,
            role=role,
            cluster_id=cluster.id,
            now=self.wall(),
            expiry=expiry,
        )
        return ca_pb2.IssueResponse(
            node_id=owner,
            certificate_pem=certificate,
            ca_pem=trusted(cluster.root_ca),
            cluster_id=cluster.id,
            role=node_role,
        )

    async def _settle(self, node_id: str, key: bytes) -> objects_pb2.Node:
        """The node, once its observed role is the one that it is granted, and the key is noted."""
        for _ in range(_ATTEMPTS):
            node = self.view.get(objects_pb2.Node, node_id)
            if node is None:
                raise removed(node_id)
            changed = copy(node)
            changed.role = granted_role(node)
            changed.certificate.keys[:] = signed(node.certificate.keys, key)
            if changed == node:
                return node
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
        self._in_all = {
            proof: Bucket(rate=IN_ALL_RATE, burst=IN_ALL_BURST)
            for proof in ("token", "expired", "")
        }

    async def GetRoot(
        self, request: ca_pb2.GetRootRequest, context: Context
    ) -> ca_pb2.GetRootResponse:
        """The root certificates, which are no secret."""
        root = the_cluster(self._view).root_ca
        return ca_pb2.GetRootResponse(ca_pem=trusted(root), former_pem=former(root))

    async def Issue(self, request: ca_pb2.IssueRequest, context: Context) -> ca_pb2.IssueResponse:
        """A certificate for a new node with a token, or for a member whose old one is void."""
        proof = request.WhichOneof("proof")
        # A manager that passes a call on has limited it before.
        is_limited = not (is_forwarded(context.invocation_metadata()) and _is_from_manager())
        if is_limited:
            self._limit_one(context.peer())
        if proof == "token":
            # Costs next to nothing: so many wrong tokens keep nobody with a right one out.
            role_of_token(the_cluster(self._view).root_ca, request.token)
        if is_limited:
            self._limit_all(proof or "")
        public_key_of(request.csr_pem)
        match proof:
            case "token":
                node_id = await self._join(request)
            case "expired":
                who = prove(self._view, request, self._wall())
                if isinstance(who, objects_pb2.Operator):
                    return self._issuer.reissue(who, request.csr_pem)
                node_id = who.id
            case _:
                raise invalid("proof", "a join token or an earlier certificate is needed")
        return await self._issuer.issue(node_id, request.csr_pem)

    async def _join(self, request: ca_pb2.IssueRequest) -> str:
        """Makes the node, or finds the one that an earlier try of this request made."""
        role = role_of_token(the_cluster(self._view).root_ca, request.token)
        if request.availability not in types_pb2.NodeAvailability.values():
            raise invalid("availability", f"{request.availability} is no availability")
        node_id = self._new_id()
        key = key_digest(public_key_of(request.csr_pem))
        node = new_node(node_id, role, request.availability, self._wall(), key=key)
        applied = await propose_one(
            self._proposer,
            batch(create(node)),
            request_id=f"issue:{hashlib.sha256(request.csr_pem).hexdigest()}",
            object_id=node_id,
        )
        if not applied.repeated:
            logger.info("node %s joined as %s", node_id, ROLE_OF_NODE[role])
        return applied.object_id

    def _limit_one(self, peer: str) -> None:
        address = address_of_peer(peer)
        if wait := self._limiter.wait(address, self._monotonic()):
            raise _too_many(f"from {address}", wait)

    def _limit_all(self, proof: str) -> None:
        if wait := self._in_all[proof].wait(self._monotonic()):
            raise _too_many("from all addresses together", wait)


class CaRenewalService(ca_pb2_grpc.CaRenewalServicer):
    """Renewal over mutual TLS, behind an Authorizer."""

    def __init__(self, view: View, proposer: Proposer, *, wall: Clock) -> None:
        self._issuer = Issuer(view, proposer, wall)

    async def Renew(self, request: ca_pb2.RenewRequest, context: Context) -> ca_pb2.IssueResponse:
        """A new certificate for the caller, with the role that it has now."""
        public_key_of(request.csr_pem)
        return await self._issuer.issue(caller().id, request.csr_pem)


def _too_many(whence: str, wait: float) -> SwarmError:
    return SwarmError(
        Code.EXHAUSTED,
        "too many requests for certificates",
        why=whence,
        remedy=f"try again in {wait:.1f} s",
    )


def _is_from_manager() -> bool:
    """Whether the call came over the control port, from a manager."""
    try:
        return caller().role == "manager"
    except SwarmError:
        return False
