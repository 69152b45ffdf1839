"""What a host makes before it is the first manager of a swarm, new or out of a backup. Touches
neither disk nor net.
"""

import io
import secrets
from typing import NamedTuple

from api import backup_file
from api.identity import Credentials, make_csr, new_key
from api.new_ids import new_id
from api.v1 import host_pb2
from hostkit.clock import wall
from manager.ca.bootstrap import FirstObjects, first_objects
from manager.ca.roots import trusted
from manager.restoring import Restored, restored
from swarmctl.membership import Membership


class Founding(NamedTuple):
    """The place of the first manager, its certificate, and the first objects of its swarm."""

    membership: Membership
    credentials: Credentials
    first: FirstObjects


def found_swarm(
    request: host_pb2.InitSwarmRequest, *, address: str, listen: str, data_path: str = ""
) -> Founding:
    """A swarm as the request, which was checked, describes it; addresses are host:port, `data_path`
    is an address alone, or empty.
    """
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
        ingress_id=new_id(),
    )
    return Founding(*_place(first, key, address, listen, data_path), first)


class Restoring(NamedTuple):
    """The place of the manager that a backup is restored to, its certificate, and the backup."""

    membership: Membership
    credentials: Credentials
    start: Restored


def restore_swarm(sealed: bytes, key: bytes, *, address: str, listen: str) -> Restoring:
    """The swarm in the sealed part of a backup, with a new manager; addresses are host:port.

    SwarmError as of backup_file.unseal and manager.restoring.restored. Takes a while.
    """
    _, content = backup_file.unseal(io.BytesIO(sealed), key)
    own_key = new_key()
    start = restored(content, node_id=new_id(), csr_pem=make_csr(own_key), now=wall())
    return Restoring(*_place(start, own_key, address, listen), start)


def _place(
    first: FirstObjects | Restored, key: bytes, address: str, listen: str, data_path: str = ""
) -> tuple[Membership, Credentials]:
    membership = Membership(
        node_id=first.node.id,
        cluster_id=first.cluster.id,
        manager=True,
        advertise_address=address,
        listen_address=listen,
        managers=(address,),
        data_path_address=data_path,
    )
    return membership, Credentials(key, first.certificate_pem, trusted(first.cluster.root_ca))
