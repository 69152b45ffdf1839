"""gRPC channels and server credentials of the control plane: who may talk, and how patiently.

Between nodes everything is mutual TLS under the cluster's own root. The identity port alone serves
callers without a certificate. Nothing here decides what a caller may do (manager/ca/authorize.py).
"""

from collections.abc import Callable
from pathlib import Path

import grpc

from api.errors import invalid
from api.identity import CA_NAME, MANAGER_NAME, Credentials

Options = tuple[tuple[str, int | str], ...]

REQUEST_LIMIT = 4 << 20
"""Bytes of one request; larger things go as streams of chunks."""
ANSWER_LIMIT = 64 << 20
"""Bytes of one answer, or of one message of a stream."""
CA_MESSAGE_LIMIT = 64 << 10
"""Bytes of one message on the identity port, where strangers may call."""
_METADATA_LIMIT = 32 << 10
_SOCKET_PATH_LIMIT = 107

_SHARED: Options = (
    ("grpc.max_metadata_size", _METADATA_LIMIT),
    # A peer that lost power or is frozen answers no ping: its calls fail after 8 s. The last of
    # these is what ends the wait; without it gRPC takes a minute (measured, grpcio 1.85).
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 3_000),
)

_DIALLING: Options = (
    *_SHARED,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 8_000),
    # How long one attempt to connect may take; gRPC's 20 s are for the Internet.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # An http_proxy in the daemon's environment is for images, never for the control plane.
    ("grpc.enable_http_proxy", 0),
)

_LISTENING: Options = (
    *_SHARED,
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 2_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Two daemons must never share a port: the kernel would deal connections out to both.
    ("grpc.so_reuseport", 0),
)


def _limited(options: Options, *, send: int, receive: int) -> Options:
    return (
        *options,
        ("grpc.max_send_message_length", send),
        ("grpc.max_receive_message_length", receive),
    )


CHANNEL_OPTIONS = _limited(_DIALLING, send=REQUEST_LIMIT, receive=ANSWER_LIMIT)
SERVER_OPTIONS = _limited(_LISTENING, send=ANSWER_LIMIT, receive=REQUEST_LIMIT)
CA_CHANNEL_OPTIONS = _limited(_DIALLING, send=CA_MESSAGE_LIMIT, receive=CA_MESSAGE_LIMIT)
CA_SERVER_OPTIONS: Options = (
    *_limited(_LISTENING, send=CA_MESSAGE_LIMIT, receive=CA_MESSAGE_LIMIT),
    ("grpc.max_concurrent_streams", 8),
)


def unix_channel(path: Path) -> grpc.aio.Channel:
    """A channel to the daemon of this host; whoever may open the socket is an operator."""
    return grpc.aio.insecure_channel(socket_target(path), options=CHANNEL_OPTIONS)


def socket_target(path: Path) -> str:
    """What gRPC calls the unix socket at `path`, to listen on or to dial; INVALID if too long."""
    if len(bytes(path.absolute())) > _SOCKET_PATH_LIMIT:
        raise invalid(
            "socket",
            f"the path of a unix socket may have {_SOCKET_PATH_LIMIT} bytes: {path}",
            remedy="choose a shorter run directory",
        )
    return f"unix:{path.absolute()}"


def node_channel(
    address: str, credentials: Credentials, *, server_name: str = MANAGER_NAME
) -> grpc.aio.Channel:
    """A mutual TLS channel to `address` (host:port), whose certificate must bear `server_name`.

    With a node's id as `server_name` no other node can answer. A channel keeps the credentials
    that it was made with: after a renewal, make a new one.
    """
    secured = grpc.ssl_channel_credentials(
        credentials.ca_pem, credentials.key_pem, credentials.certificate_pem
    )
    return _secure(address, secured, server_name, CHANNEL_OPTIONS)


def ca_channel(address: str, ca_pem: bytes) -> grpc.aio.Channel:
    """A channel to an identity port, for callers without a certificate of their own."""
    return _secure(address, grpc.ssl_channel_credentials(ca_pem), CA_NAME, CA_CHANNEL_OPTIONS)


def node_server_credentials(
    credentials: Credentials | Callable[[], Credentials],
) -> grpc.ServerCredentials:
    """What the control port listens with: callers need a certificate of this root.

    A callable is asked again before every handshake, in a thread of gRPC's: so a renewed
    certificate is shown without a restart. It must only return what is at hand.
    """
    return _server_credentials(credentials, require_client=True)


def ca_server_credentials(
    credentials: Credentials | Callable[[], Credentials],
) -> grpc.ServerCredentials:
    """What the identity port listens with: callers need no certificate."""
    return _server_credentials(credentials, require_client=False)


def _secure(
    address: str, secured: grpc.ChannelCredentials, server_name: str, options: Options
) -> grpc.aio.Channel:
    named: Options = (
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.default_authority", server_name),
    )
    return grpc.aio.secure_channel(address, secured, options=(*options, *named))


def _server_credentials(
    credentials: Credentials | Callable[[], Credentials], *, require_client: bool
) -> grpc.ServerCredentials:
    shown = credentials if isinstance(credentials, Credentials) else credentials()

    def configuration(now: Credentials) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(now.key_pem, now.certificate_pem)],
            root_certificates=now.ca_pem if require_client else None,
        )

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        """None as long as nothing has changed: gRPC's core frees what it replaces while another
        handshake still reads it, and a burst of connections would crash the process (grpc#36693).
        """
        nonlocal shown
        now = credentials if isinstance(credentials, Credentials) else credentials()
        if now == shown:
            return None
        shown = now
        return configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        configuration(shown),
        renewed,  # type: ignore[arg-type] # the stubs do not know that None means: as before
        require_client_authentication=require_client,
    )
