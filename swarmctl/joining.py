"""How a host gets its place in an existing swarm: it asks with a token, and is told who it is."""

from typing import NamedTuple

from api.address import split_address
from api.enroll import enroll
from api.identity import Credentials, check_current
from api.token import parse_token
from api.v1 import host_pb2
from hostkit.clock import wall
from swarmctl.membership import Membership


class Joining(NamedTuple):
    """A node's place, and its certificate."""

    membership: Membership
    credentials: Credentials


def check_join(request: host_pb2.JoinSwarmRequest) -> None:
    """INVALID for a token or an address that nobody could use."""
    parse_token(request.token)
    for address in request.managers:
        split_address(address)


async def join_swarm(
    request: host_pb2.JoinSwarmRequest, *, address: str, listen: str, data_path: str = ""
) -> Joining:
    """Asks the managers of the request; addresses are host:port. Errors as of api.enroll.enroll
    and api.identity.check_current.
    """
    joined = await enroll(list(request.managers), request.token, availability=request.availability)
    check_current(joined.credentials.certificate_pem, wall())
    membership = Membership(
        node_id=joined.node_id,
        cluster_id=joined.cluster_id,
        manager=joined.role == "manager",
        advertise_address=address,
        listen_address=listen,
        managers=tuple(request.managers),
        data_path_address=data_path,
    )
    return Joining(membership, joined.credentials)
