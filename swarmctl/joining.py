"""How a host gets its place in an existing swarm: it asks with a token, and is told who it is."""

from typing import NamedTuple

from api.address import split_address
from api.enroll import SILENCE, Asking, Enrolment, enroll, new_asking
from api.errors import SwarmError
from api.identity import Credentials, check_current
from api.token import parse_token
from api.v1 import host_pb2
from hostkit.clock import wall
from swarmctl.membership import Membership

LIMIT = 20.0
"""Seconds for all managers together."""


class Joining(NamedTuple):
    """A node's place, and its certificate."""

    membership: Membership
    credentials: Credentials


def check_join(request: host_pb2.JoinSwarmRequest) -> None:
    """INVALID for a token or an address that nobody could use."""
    parse_token(request.token)
    for address in request.managers:
        split_address(address)


class Joiner:
    """Joins swarms, for one host.

    A request that nobody answered may have made a node all the same: the next try is that one's, so
    that none is left of which there is no host.
    """

    def __init__(self) -> None:
        self._unanswered: tuple[object, Asking] | None = None

    async def join(
        self,
        request: host_pb2.JoinSwarmRequest,
        *,
        address: str,
        listen: str,
        data_path: str = "",
        timeout: float = LIMIT,
    ) -> Joining:
        """Asks the managers of the request; addresses are host:port. Errors as of api.enroll.enroll
        and api.identity.check_current.
        """
        joined = await self._enroll(request, timeout)
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

    async def _enroll(self, request: host_pb2.JoinSwarmRequest, timeout: float) -> Enrolment:
        place = (request.token, request.availability)
        if self._unanswered is None or self._unanswered[0] != place:
            self._unanswered = (place, new_asking())
        try:
            joined = await enroll(
                list(request.managers),
                request.token,
                availability=request.availability,
                timeout=timeout,
                asking=self._unanswered[1],
            )
        except SwarmError as error:
            if error.code not in SILENCE:
                self._unanswered = None
            raise
        self._unanswered = None
        return joined
