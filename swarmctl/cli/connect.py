"""Channels to daemons, over a unix socket or mutual TLS, and why one cannot be had.

gRPC itself would only say "unavailable", and late; so each address is tried with a plain socket
first, since the kernel says at once whether nobody listens or permission is denied.
"""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from api.errors import Code, SwarmError, invalid
from api.host_api import is_of_machines, names_asked_for
from swarmctl.cli.contexts import Context

DEFAULT_PORT = 2377
SERVER_NAME = "swarm-manager"
MAX_MESSAGE = 64 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # A daemon that restarts is found again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A stream may be silent for long; pings tell a quiet daemon from one that is gone.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # An http_proxy in the environment is for the web; the probe goes past it, and so must this.
    ("grpc.enable_http_proxy", 0),
)


def first_that_answers(target: Context, timeout: float) -> grpc.Channel:
    """A channel to the first address that answers; each has `timeout` seconds to do so."""
    failures = []
    for address in target.hosts:
        try:
            return _open(address, target.cert_dir, timeout)
        except SwarmError as error:
            if error.code is not Code.UNAVAILABLE or len(target.hosts) == 1:
                raise
            failures.append(f"{address}: {error.why}")
    raise SwarmError(
        Code.UNAVAILABLE,
        f"no manager of context {target.name} answers",
        why="; ".join(failures),
        remedy=f"check the hosts, or the context: swarmctl context inspect {target.name}",
    )


def _open(address: str, cert_dir: str, timeout: float) -> grpc.Channel:
    scheme, _, rest = address.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        _probe_unix(Path(rest), timeout)
        return grpc.insecure_channel(f"unix:{rest}", options=_OPTIONS)
    if scheme == "tcp" and rest:
        return _open_tcp(*_host_and_port(rest), cert_dir, timeout)
    raise invalid(
        "host", f"{address!r} is no address", remedy="use unix:///PATH or tcp://HOST:PORT"
    )


def _host_and_port(text: str) -> tuple[str, int]:
    """Host without brackets, and port."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = text, str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004
        raise invalid("host", f"{port!r} is no port", remedy="use tcp://HOST:PORT")
    return host.strip("[]"), int(port)


def _probe_unix(path: Path, timeout: float) -> None:
    def connect() -> socket.socket:
        probe = socket.socket(socket.AF_UNIX)
        probe.settimeout(timeout)
        try:
            probe.connect(str(path))
        except BaseException:
            probe.close()
            raise
        return probe

    _probe(
        connect,
        f"cannot reach swarmd at {path}",
        "start swarmd on this host, or point elsewhere with -H or --context",
    )


def _probe(connect: Callable[[], socket.socket], what: str, remedy: str) -> None:
    try:
        connect().close()
    except PermissionError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            what,
            why="permission denied",
            remedy="be root or a member of the group swarm",
        ) from error
    except OSError as error:
        why = error.strerror or os.strerror(error.errno) if error.errno else str(error)
        raise SwarmError(Code.UNAVAILABLE, what, why=why, remedy=remedy) from error


def _open_tcp(host: str, port: int, cert_dir: str, timeout: float) -> grpc.Channel:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    papers = _papers(address, cert_dir)
    what = f"cannot reach swarmd at {address}"
    _probe(
        lambda: socket.create_connection((host, port), timeout),
        what,
        "check that swarmd runs there, and the port",
    )
    channel: grpc.Channel | None = None
    for name in names_asked_for(papers[0], host, SERVER_NAME):
        channel = channel or _secured(address, name, papers, timeout)
    if channel is None and (fresh := _exchanged(address, cert_dir, papers, timeout)):
        channel = _secured(address, SERVER_NAME, fresh, timeout)
    if channel is None:
        raise SwarmError(
            Code.UNAVAILABLE,
            what,
            why=f"something listens, but no secure connection came about within {timeout:g} s",
            remedy=f"check that the certificate in {cert_dir} is of this swarm, or this machine, "
            "and that neither it nor that of the daemon has expired",
        )
    return channel


def _secured(
    address: str, name: str, papers: Sequence[bytes], timeout: float
) -> grpc.Channel | None:
    """A channel once the two sides believe each other, or None. `name`: what the other must be."""
    ca, certificate, key = papers
    options = (*_OPTIONS, ("grpc.ssl_target_name_override", name))
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    channel = grpc.secure_channel(address, credentials, options=options)
    try:
        grpc.channel_ready_future(channel).result(timeout=timeout)
    except grpc.FutureTimeoutError:
        channel.close()
        return None
    return channel


def _exchanged(
    address: str, cert_dir: str, papers: Sequence[bytes], timeout: float
) -> Sequence[bytes] | None:
    """The papers of now if the root of the swarm was rotated meanwhile, or None."""
    if is_of_machines(papers[0]):
        return None
    # Hardly ever needed, and cryptography costs start-up time.
    from swarmctl.cli.exchange import Papers, exchanged  # noqa: PLC0415

    try:
        return exchanged(address, cert_dir, Papers(*papers), timeout)
    except SwarmError as error:
        if error.code is Code.UNAUTHENTICATED:
            raise
        return None


def _papers(address: str, cert_dir: str) -> Sequence[bytes]:
    """What ca.pem, cert.pem and key.pem hold."""
    if not cert_dir:
        raise invalid(
            "cert-path",
            f"tcp://{address} needs a certificate",
            remedy="make one on a manager with swarmctl swarm client-cert, then give --cert-path; "
            "for a machine: eval $(swarmctl machine env NAME)",
        )
    try:
        return _read(cert_dir, ("ca.pem", "cert.pem", "key.pem"))
    except OSError as error:
        raise invalid(
            "cert-path",
            f"cannot read {error.filename}",
            why=error.strerror or str(error),
            remedy="give the folder that swarmctl swarm client-cert wrote",
        ) from error


def of_host_api(cert_dir: str) -> bool:
    """Whether a certificate's folder is for the API of hosts, and not for a swarm's managers."""
    try:
        return is_of_machines(*_read(cert_dir, ("ca.pem",)))
    except OSError:
        return False


def _read(folder: str, names: Sequence[str]) -> list[bytes]:
    return [(Path(folder) / name).read_bytes() for name in names]
