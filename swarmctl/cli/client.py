"""Calls to a daemon: which one, over what, and what to do when it does not answer.

Synchronous on purpose: a command makes one call, and an event loop would double its start-up time.
The connection is made at the first call, so that bad flags are found before anything is reached.
"""

import os
import socket
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from api.errors import Code, SwarmError, invalid
from api.status import from_grpc
from api.v1 import control_pb2_grpc, host_pb2_grpc, logs_pb2_grpc
from swarmctl.cli import contexts

DEFAULT_HOST = "unix:///run/swarm/swarmd.sock"
DEFAULT_PORT = 2377
CONNECT_TIMEOUT = 5.0
CALL_TIMEOUT = 30.0
FIRST_RETRY = 0.05
LAST_RETRY = 1.0
MAX_MESSAGE = 64 << 20

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Client:
    """The daemon that flags, environment and context point at."""

    def __init__(self, *, host: str = "", context: str = "", cert_path: str = "") -> None:
        self._host = host
        self._context = context
        self._cert_path = cert_path
        self._channel: grpc.Channel | None = None

    @cached_property
    def control(self) -> control_pb2_grpc.ControlStub:
        """The cluster, through this daemon."""
        return control_pb2_grpc.ControlStub(self._connected())

    @cached_property
    def logs(self) -> logs_pb2_grpc.LogsStub:
        """Logs of tasks, through this daemon."""
        return logs_pb2_grpc.LogsStub(self._connected())

    @cached_property
    def host(self) -> host_pb2_grpc.HostStub:
        """The host of this daemon."""
        return host_pb2_grpc.HostStub(self._connected())

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        doing: str,
        *,
        timeout: float = CALL_TIMEOUT,
    ) -> Response:
        """One call, tried again while nobody can serve it, until `timeout` seconds have passed.

        Mutating requests carry a request_id, so that trying again has the effect of one call.
        """
        deadline = time.monotonic() + timeout  # noqa: TID251 - the shell of a whole program
        delay = FIRST_RETRY
        while True:
            remaining = deadline - time.monotonic()  # noqa: TID251
            try:
                return method(request, timeout=max(0.01, remaining))
            except grpc.RpcError as error:
                failure = _failure(error, doing)
                if failure.code is not Code.UNAVAILABLE or remaining <= delay:
                    raise failure from error
            time.sleep(delay)
            delay = min(LAST_RETRY, delay * 2)

    def stream(
        self,
        method: "grpc.UnaryStreamMultiCallable[Request, Response]",
        request: Request,
        doing: str,
        *,
        timeout: float | None = None,
    ) -> Iterator[Response]:
        """The messages of a stream; SwarmError DEADLINE after `timeout` seconds."""
        messages = method(request, timeout=timeout)
        try:
            yield from messages
        except grpc.RpcError as error:
            raise _failure(error, doing) from error
        finally:
            messages.cancel()

    def send(
        self,
        method: "grpc.StreamUnaryMultiCallable[Request, Response]",
        messages: Iterator[Request],
        doing: str,
        *,
        timeout: float,
    ) -> Response:
        """The answer to a stream of messages; not tried again, since they can be read only once."""
        try:
            return method(messages, timeout=timeout)
        except grpc.RpcError as error:
            raise _failure(error, doing) from error

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._channel is not None:
            self._channel.close()

    def target(self) -> contexts.Context:
        """Where calls go: -H, then --context, then the current context, then the local socket."""
        if self._host:
            return contexts.Context("", (self._host,), self._cert_path)
        name = self._context or contexts.current()
        if name:
            return contexts.get(name)
        return contexts.Context("", (DEFAULT_HOST,), self._cert_path)

    def _connected(self) -> grpc.Channel:
        if self._channel is None:
            self._channel = _first_that_answers(self.target())
        return self._channel


def _first_that_answers(target: contexts.Context) -> grpc.Channel:
    failures = []
    for address in target.hosts:
        try:
            return _open(address, target.cert_dir)
        except SwarmError as error:
            if error.code is not Code.UNAVAILABLE or len(target.hosts) == 1:
                raise
            failures.append(f"{address}: {error.why}")
    raise SwarmError(
        Code.UNAVAILABLE,
        "no manager of the context answers" if target.hosts else "the context has no address",
        why="; ".join(failures),
        remedy=f"check the hosts, or the context: swarmctl context show {target.name}",
    )


def _open(address: str, cert_dir: str) -> grpc.Channel:
    scheme, _, rest = address.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        _check_socket(Path(rest))
        return grpc.insecure_channel(f"unix:{rest}", options=_options())
    if scheme == "tcp" and rest:
        return _open_tcp(
            rest if rest.rpartition(":")[2].isdigit() else f"{rest}:{DEFAULT_PORT}", cert_dir
        )
    raise invalid(
        "host", f"{address!r} is no address", remedy="use unix:///PATH or tcp://HOST:PORT"
    )


def _check_socket(path: Path) -> None:
    # gRPC would only say "unavailable"; the kernel says why.
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_TIMEOUT)
            probe.connect(str(path))
    except PermissionError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot reach swarmd at {path}",
            why="permission denied",
            remedy="be root or a member of the group swarm",
        ) from error
    except OSError as error:
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot reach swarmd at {path}",
            why=os.strerror(error.errno) if error.errno else str(error),
            remedy="start swarmd on this host, or point elsewhere with -H or --context",
        ) from error


def _open_tcp(address: str, cert_dir: str) -> grpc.Channel:
    if not cert_dir:
        raise SwarmError(
            Code.INVALID,
            f"tcp://{address} needs a certificate",
            remedy="make one on a manager with swarmctl swarm client-cert, then give --cert-path",
        )
    try:
        ca, cert, key = (
            (Path(cert_dir) / name).read_bytes() for name in ("ca.pem", "cert.pem", "key.pem")
        )
    except OSError as error:
        raise SwarmError(
            Code.INVALID, f"cannot read the certificate in {cert_dir}", why=str(error)
        ) from error
    channel = grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(ca, key, cert),
        options=[*_options(), ("grpc.ssl_target_name_override", "swarm-manager")],
    )
    try:
        grpc.channel_ready_future(channel).result(timeout=CONNECT_TIMEOUT)
    except grpc.FutureTimeoutError as error:
        channel.close()
        raise SwarmError(
            Code.UNAVAILABLE,
            f"cannot reach the manager at {address}",
            why=f"no secure connection within {CONNECT_TIMEOUT:g} s",
            remedy="check that it runs, the port, and that the certificate is of this swarm",
        ) from error
    return channel


def _options() -> list[tuple[str, int]]:
    return [("grpc.max_receive_message_length", MAX_MESSAGE)]


def _failure(error: grpc.RpcError, doing: str) -> SwarmError:
    if not isinstance(error, grpc.Call):
        return SwarmError(Code.INTERNAL, f"{doing} failed", why=str(error))
    return from_grpc(error, doing)
