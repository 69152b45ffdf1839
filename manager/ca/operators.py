"""Certificates for operators: people and programs that use the control API from elsewhere.

Used by the control service, which has checked that its caller may do this.
"""

from typing import NamedTuple

from api.certificates import key_digest
from api.errors import Code, SwarmError, invalid
from api.times import timestamp
from api.v1 import objects_pb2
from manager.ca.authority import OPERATOR_EXPIRY, public_key_of, sign
from manager.ca.roots import trusted
from manager.state.changes import batch, create
from manager.state.proposer import Proposer, propose_one
from manager.state.store import View

_NAME_LENGTH = 64


class IssuedOperator(NamedTuple):
    """The stored operator, the certificate (PEM) for its key, and the roots to believe (PEM)."""

    operator: objects_pb2.Operator
    certificate_pem: bytes
    ca_pem: bytes


async def issue_operator(
    view: View,
    proposer: Proposer,
    *,
    name: str,
    csr_pem: bytes,
    operator_id: str,
    request_id: str,
    now: float,
) -> IssuedOperator:
    """Stores a new operator under a fresh `operator_id` and signs for a year from `now`.

    EXISTS if the name is taken, INVALID for a bad name or request. A retry with the same
    request_id gets a certificate of the operator that the first call made.
    """
    _check_name(name)
    key = key_digest(public_key_of(csr_pem))
    cluster = the_cluster(view)
    made = objects_pb2.Operator(
        id=operator_id, name=name, expires_at=timestamp(now + OPERATOR_EXPIRY), key=key
    )
    applied = await propose_one(
        proposer, batch(create(made)), request_id=request_id, object_id=operator_id
    )
    stored = view.get(objects_pb2.Operator, applied.object_id)
    if stored is None:
        raise SwarmError(
            Code.NOT_FOUND,
            f"operator {name} was removed meanwhile",
            remedy="ask again if it is still wanted",
        )
    certificate = sign(
        cluster.root_ca,
        csr_pem,
        node_id=stored.id,
        role="operator",
        cluster_id=cluster.id,
        now=now,
        expiry=stored.expires_at.seconds - now,
    )
    return IssuedOperator(stored, certificate, trusted(cluster.root_ca))


def the_cluster(view: View) -> objects_pb2.Cluster:
    """The one cluster object; UNAVAILABLE on a manager that has not received the state yet."""
    cluster = next(view.all(objects_pb2.Cluster), None)
    if cluster is None:
        raise SwarmError(
            Code.UNAVAILABLE,
            "this manager does not know the cluster's state yet",
            remedy="try again in a moment, or ask another manager",
        )
    return cluster


def _check_name(name: str) -> None:
    if not 0 < len(name) <= _NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise invalid(
            "name",
            f"an operator's name has 1 to {_NAME_LENGTH} printable characters",
            remedy="choose another name, as alice or ci",
        )
