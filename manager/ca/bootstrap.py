"""The first objects of a new cluster: itself, its root, tokens and, if its spec asks for one, its
unlock key, its first manager, and the network for published ports. Pure.
"""

from collections.abc import Callable
from typing import NamedTuple

from api.certificates import key_digest
from api.networks import INGRESS
from api.times import timestamp
from api.token import SECRET_BYTES, new_token
from api.v1 import objects_pb2, specs_pb2, types_pb2
from manager.ca.authority import new_root, node_expiry, public_key_of, root_der, sign
from manager.ca.unlock import settle
from manager.state.changes import Batch, batch, create


class FirstObjects(NamedTuple):
    """What `swarm init` writes, and the certificate (PEM) that the first manager keeps."""

    cluster: objects_pb2.Cluster
    node: objects_pb2.Node
    certificate_pem: bytes
    ingress: objects_pb2.Network | None = None

    def batch(self) -> Batch:
        """The change that makes a cluster out of an empty store."""
        networks = () if self.ingress is None else (create(self.ingress),)
        return batch(create(self.cluster), create(self.node), *networks)


def first_objects(
    spec: specs_pb2.ClusterSpec,
    *,
    cluster_id: str,
    node_id: str,
    csr_pem: bytes,
    now: float,
    secret: Callable[[int], bytes],
    address: str = "",
    availability: types_pb2.NodeAvailability.ValueType = types_pb2.NODE_AVAILABILITY_ACTIVE,
    ingress_id: str = "",
) -> FirstObjects:
    """A cluster of one manager at `address` (host:port) whose key signed the request.

    `secret(n)` gives n random bytes, as secrets.token_bytes does. INVALID for a bad `csr_pem`; the
    spec is taken as it is: check it first. `ingress_id`: of the network for published ports; empty:
    there is none.
    """
    root = new_root(cluster_id, now)
    certificate = sign(
        root,
        csr_pem,
        node_id=node_id,
        role="manager",
        cluster_id=cluster_id,
        now=now,
        expiry=node_expiry(spec),
    )
    der = root_der(root)
    root.worker_token = str(new_token(der, secret(SECRET_BYTES)))
    root.manager_token = str(new_token(der, secret(SECRET_BYTES)))
    key = key_digest(public_key_of(csr_pem))
    node = new_node(node_id, types_pb2.NODE_ROLE_MANAGER, availability, now, key=key)
    node.manager.address = address
    cluster = objects_pb2.Cluster(id=cluster_id, spec=spec, root_ca=root)
    settle(cluster, secret)
    ingress = ingress_network(ingress_id) if ingress_id else None
    return FirstObjects(cluster, node, certificate, ingress)


def ingress_network(network_id: str) -> objects_pb2.Network:
    """The network for published ports, before anything is chosen for it."""
    made = objects_pb2.Network(id=network_id)
    made.spec.annotations.name = INGRESS
    made.spec.ingress = True
    return made


def new_node(
    node_id: str,
    role: types_pb2.NodeRole.ValueType,
    availability: types_pb2.NodeAvailability.ValueType,
    now: float,
    *,
    key: bytes,
) -> objects_pb2.Node:
    """A node that has a certificate and was not heard of yet; `key`: the digest of its key."""
    return objects_pb2.Node(
        id=node_id,
        certificate=objects_pb2.NodeCertificate(keys=[key]),
        spec=specs_pb2.NodeSpec(role=role, availability=availability),
        role=role,
        status=objects_pb2.NodeStatus(state=types_pb2.NODE_STATE_UNKNOWN, since=timestamp(now)),
    )
