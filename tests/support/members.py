"""A node's place in a swarm, with a certificate that fits it."""

from api.identity import Credentials, make_csr, new_key
from api.v1 import specs_pb2
from manager.ca.bootstrap import first_objects
from swarmctl.membership import Membership

MEMBERSHIP = Membership(
    node_id="n" * 25,
    cluster_id="c" * 25,
    manager=True,
    advertise_address="10.0.0.1:2377",
    listen_address="0.0.0.0:2377",
    managers=("10.0.0.1:2377",),
)


def credentials() -> Credentials:
    key = new_key()
    first = first_objects(
        specs_pb2.ClusterSpec(),
        cluster_id=MEMBERSHIP.cluster_id,
        node_id=MEMBERSHIP.node_id,
        csr_pem=make_csr(key),
        now=1_800_000_000.0,
        secret=bytes,
    )
    return Credentials(key, first.certificate_pem, first.cluster.root_ca.certificate_pem)
