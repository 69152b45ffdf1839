"""Who owns an earlier certificate, and asks for another with its key. Pure.

The dates of the certificate do not matter, and its root need not be trusted any more. But whoever
has stolen the key of a former root can make certificates of it for everybody: one of such a root
counts only with the very key that is known of its owner (manager/ca/keys.py).
"""

from api.certificates import is_signed_by, key_digest_of
from api.errors import Code, SwarmError, invalid
from api.identity import Identity, identity_of
from api.times import seconds_of
from api.v1 import ca_pb2, objects_pb2
from manager.ca.operators import the_cluster
from manager.ca.roots import is_trusted, was_trusted
from manager.state.store import View

_CERTIFICATE_LIMIT = 16 << 10


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
        raise removed(identity.id)
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


def removed(node_id: str) -> SwarmError:
    """The refusal of a node that is in the cluster no more."""
    return SwarmError(
        Code.UNAUTHENTICATED,
        f"node {node_id} is not a member of this cluster any more",
        why="it was removed",
        remedy="leave the swarm with `swarmctl swarm leave --force` and join again with a token",
    )
