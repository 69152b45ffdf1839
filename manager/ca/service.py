"""Hands out certificates: to joiners with a token, to nodes whose certificate ends or has ended.

The shell around authority, tokens, limiter and members: it reads the store, proposes, and signs.
"""

import hashlib
import logging

from api.certificates import is_signed_by, key_digest, key_digest_of
from api.errors import Code, SwarmError, invalid
from api.identity import ROLE_OF_NODE, Identity, Role, identity_of
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
from manager.ca.roots import former, is_trusted, trusted, was_trusted
from manager.ca.tokens import role_of_token
from manager.state.changes import batch, copy, create, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import View

_CERTIFICATE_LIMIT = 16 << 10
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
                raise _removed(node_id)
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


def prove(
    view: View, request: ca_pb2.IssueRequest, now: float
) -> objects_pb2.Node | objects_pb2.Operator:
    """Who owns the earlier certificate, and signed the request with its key. Pure.

    UNAUTHENTICATED unless it is of a node, by a root that is trusted, whatever its dates are; or of
    a node or operator, by a root that was, and its key is the one that is known of him.
    """
    proof, root = request.expired, the_cluster(view).root_ca
    if len(proof.certificate_pem) > _CERTIFICATE_LIMIT:
        raise invalid("expired.certificate_pem", "the certificate is too long")
    identity: Identity = identity_of(proof.certificate_pem)
    is_former = not is_trusted(root, proof.certificate_pem)
    if is_former and not was_trusted(root, proof.certificate_pem):
        raise _unproven("this cluster's root did not sign it")
    if identity.cluster_id != the_cluster(view).id:
        raise _unproven("it is not of this cluster")
    if not is_signed_by(proof.certificate_pem, proof.signature, request.csr_pem):
        raise _unproven("the request was not signed with its key")
    if identity.role == "operator":
        return _operator(view, identity, proof.certificate_pem, now, is_former=is_former)
    node = view.get(objects_pb2.Node, identity.id)
    if node is None:
        raise _removed(identity.id)
    if is_former and key_digest_of(proof.certificate_pem) not in node.certificate.keys:
        raise _unproven("its root is trusted no more, and its key is not known to be the node's")
    return node


def _operator(
    view: View, identity: Identity, certificate: bytes, now: float, *, is_former: bool
) -> objects_pb2.Operator:
    operator = view.get(objects_pb2.Operator, identity.id)
    if operator is None:
        raise _no_operator("he was removed")
    if seconds_of(operator.expires_at) <= now:
        raise _no_operator("his certificate has ended")
    if not is_former:
        raise _no_operator("his certificate is good, or has been replaced")
    if key_digest_of(certificate) != operator.key:
        raise _no_operator("its root is trusted no more, and its key is not known to be his")
    return operator


def _no_operator(why: str) -> SwarmError:
    return SwarmError(
        Code.UNAUTHENTICATED,
        "the operator gets no certificate for his earlier one",
        why=why,
        remedy="ask for a new certificate with `swarmctl swarm client-cert`",
    )


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
