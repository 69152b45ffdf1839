"""The two ports of a manager, and what is served on each. Composes; decides nothing.

The control port carries everything between nodes over mutual TLS. The identity port, one above,
serves those that have no valid certificate.
"""

from collections.abc import Awaitable, Callable

import grpc

from api.address import identity_address, join_address, split_address
from api.channel import (
    CA_SERVER_OPTIONS,
    SERVER_OPTIONS,
    ca_server_credentials,
    node_server_credentials,
)
from api.errors import Code, SwarmError
from api.identity import Credentials, Identity
from api.listener import Listener
from api.serving import ErrorInterceptor
from manager.ca.authorize import Authorizer
from manager.ca.members import Members
from manager.ca.open_calls import OpenCalls
from manager.ca.roles import ROLES


def control_port(
    address: str,
    members: Members,
    credentials: Callable[[], Credentials],
    calls: OpenCalls[Identity],
    catch_up: Callable[[], Awaitable[None]],
) -> Listener:
    """A server for members of the cluster at `address`. UNAVAILABLE if it cannot listen there.

    Callers need a certificate of one of the roots in `credentials`; `calls` and `catch_up`: see
    Authorizer.
    """
    authorizer = Authorizer(
        ROLES, members.is_member, role_of=members.role_of, calls=calls, catch_up=catch_up
    )
    server = grpc.aio.server(
        interceptors=[ErrorInterceptor(), authorizer],
        options=SERVER_OPTIONS,
    )
    _listen(server, address, node_server_credentials(credentials))
    return Listener(server)


def identity_port(address: str, credentials: Callable[[], Credentials]) -> Listener:
    """A server for strangers, beside the control port at `address`. UNAVAILABLE as there."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=CA_SERVER_OPTIONS)
    _listen(server, identity_address(address), ca_server_credentials(credentials))
    return Listener(server)


def _listen(server: grpc.aio.Server, address: str, secured: grpc.ServerCredentials) -> None:
    try:
        server.add_secure_port(join_address(*split_address(address)), secured)
    except RuntimeError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot listen on {address}",
            why="the port is in use, or the address is not of this host",
            remedy="free the port, or choose another with --listen-addr; "
            "if Docker Swarm has it: docker swarm leave",
        ) from error
