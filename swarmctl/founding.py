"""What a host makes before it is the first manager of a new swarm. Touches neither disk nor net."""

import secrets
from typing import NamedTuple

from api.identity import Credentials, make_csr, new_key
from api.new_ids import new_id
from api.v1 import host_pb2
from hostkit.clock import wall
from manager.ca.bootstrap import FirstObjects, first_objects
from swarmctl.membership import Membership


class Founding(NamedTuple):
    """The place of the first manager, its certificate, and the first objects of its swarm."""

    membership: Membership
    credentials: Credentials
    first: FirstObjects


def found_swarm(request: host_pb2.InitSwarmRequest, *, address: str, listen: str) -> Founding:
    """A swarm as the request, which was checked, describes it; addresses are host:port."""
    key = new_key()
    first = first_objects(
        request.spec,
        cluster_id=new_id(),
        node_id=new_id(),
        csr_pem=make_csr(key),
        now=wall(),
        secret=secrets.token_bytes,
        address=address,
        availability=request.availability,
    )
    membership = Membership(
        node_id=first.node.id,
        cluster_id=first.cluster.id,
        manager=True,
        advertise_address=address,
        listen_address=listen,
        managers=(address,),
    )
    root = first.cluster.root_ca.certificate_pem
    return Founding(membership, Credentials(key, first.certificate_pem, root), first)
