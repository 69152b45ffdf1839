"""The certificate that a manager signs for itself, when all certificates of the managers ended.

Every manager holds the root's key, so this gives nobody a power that he had not. Pure.
"""

from typing import NamedTuple

from api.errors import Code, SwarmError
from api.v1 import objects_pb2, types_pb2
from manager.ca.authority import node_expiry, sign
from manager.ca.members import granted_role
from manager.ca.operators import the_cluster
from manager.ca.roots import trusted
from manager.state.store import View


class Own(NamedTuple):
    """A certificate, and the roots that are trusted as far as it is known here; both PEM."""

    certificate_pem: bytes
    ca_pem: bytes


def own_certificate(view: View, node_id: str, csr_pem: bytes, now: float) -> Own:
    """A manager's certificate for this very node.

    UNAUTHENTICATED if the state, as far as it is known here, does not have it as a manager.
    """
    cluster = the_cluster(view)
    node = view.get(objects_pb2.Node, node_id)
    if node is None or granted_role(node) != types_pb2.NODE_ROLE_MANAGER:
        raise SwarmError(
            Code.UNAUTHENTICATED,
            "this node is not a manager of its swarm any more",
            remedy="leave the swarm with `swarmctl swarm leave --force`, then join again",
        )
    certificate = sign(
        cluster.root_ca,
        csr_pem,
        node_id=node.id,
        role="manager",
        cluster_id=cluster.id,
        now=now,
        expiry=node_expiry(cluster.spec),
    )
    return Own(certificate, trusted(cluster.root_ca))
