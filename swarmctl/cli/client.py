"""Calls to a daemon: which one, for how long, and what to do when it does not answer.

Synchronous on purpose: a command makes one call, and an event loop would double its start-up time.
The connection is made at the first call, so that bad flags are found before anything is reached.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from api.errors import Code, SwarmError
from api.metadata import STALE
from api.status import from_grpc
from api.v1 import (
    check_pb2_grpc,
    containers_pb2_grpc,
    control_pb2_grpc,
    exec_pb2_grpc,
    host_pb2_grpc,
    logs_pb2_grpc,
    volume_pb2_grpc,
)
from swarmctl.cli import contexts
from swarmctl.cli.connect import first_that_answers, of_host_api
from swarmctl.cli.failures import RemoteError

DEFAULT_HOST = "unix:///run/swarm/swarmd.sock"
DEFAULT_CONTEXT = "default"
"""The name that stands for no context: the local socket."""
CONNECT_TIMEOUT = 5.0
CALL_TIMEOUT = 30.0
FIRST_RETRY = 0.05
LAST_RETRY = 1.0

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Client:
    """The daemon that flags, environment and context point at.

    `timeout`: seconds that a call may take with all its repetitions; `retry`: whether a call that
    nobody could serve is repeated at all; `stale`: reads take what the asked manager holds.
    """

    def __init__(
        self,
        *,
        host: str = "",
        context: str = "",
        cert_path: str = "",
        timeout: float = CALL_TIMEOUT,
        retry: bool = True,
        stale: bool = False,
    ) -> None:
        self._host = host
        self._context = context
        self._cert_path = cert_path
        self.timeout = timeout
        self._retry = retry
        self._metadata = ((STALE, "1"),) if stale else ()
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
    def exec(self) -> exec_pb2_grpc.ExecStub:
        """Commands in tasks, through this daemon."""
        return exec_pb2_grpc.ExecStub(self._connected())

    @cached_property
    def checks(self) -> check_pb2_grpc.NetworkCheckStub:
        """Looks at the networks of nodes, through this daemon."""
        return check_pb2_grpc.NetworkCheckStub(self._connected())

    @cached_property
    def volume_data(self) -> volume_pb2_grpc.VolumeDataStub:
        """What is in volumes of the swarm, through this daemon."""
        return volume_pb2_grpc.VolumeDataStub(self._connected())

    @cached_property
    def containers(self) -> containers_pb2_grpc.ContainersStub:
        """Containers of the host of this daemon that are no tasks, and its own networks."""
        return containers_pb2_grpc.ContainersStub(self._connected())

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
        at_least: float = 0.0,
        once: bool = False,
    ) -> Response:
        """One call, tried again while nobody can serve it, until the client's timeout is over.

        Mutating requests carry a request_id, so that trying again has the effect of one call; for
        those that have none there is `once`. `at_least`: seconds, for what is known to take long.
        """
        return self._repeated(method, request, doing, max(self.timeout, at_least), once=once)

    def gather(
        self,
        method: "grpc.UnaryStreamMultiCallable[Request, Response]",
        request: Request,
        into: Response,
        doing: str,
    ) -> Response:
        """A list that comes in pieces, put together in `into`; from the start again as `call` is.

        The client's timeout is for the whole of it.
        """

        def whole(request: Request, **options: Any) -> Response:  # noqa: ANN401 - gRPC's own
            into.Clear()
            for piece in method(request, **options):
                into.MergeFrom(piece)
            return into

        return self._repeated(whole, request, doing, self.timeout)

    def _repeated(
        self,
        method: Callable[..., Response],
        request: Message,
        doing: str,
        limit: float,
        *,
        once: bool = False,
    ) -> Response:
        deadline = _now() + limit
        delay = FIRST_RETRY
        unavailable: RemoteError | None = None
        while True:
            try:
                return method(
                    request, timeout=max(0.01, deadline - _now()), metadata=self._metadata
                )
            except grpc.RpcError as error:
                failure = _failure(error, doing, limit)
                if failure.code is Code.DEADLINE and unavailable is not None:
                    # Why nobody could serve it says more than that time ran out.
                    raise unavailable from error
                is_over = once or not self._retry or _now() + delay >= deadline
                if failure.code is not Code.UNAVAILABLE or is_over:
                    raise failure from error
                unavailable = failure
            time.sleep(delay)
            delay = min(LAST_RETRY, delay * 2)

    def stream(
        self,
        method: "grpc.UnaryStreamMultiCallable[Request, Response]",
        request: Request,
        doing: str,
    ) -> Iterator[Response]:
        """The messages of a stream, which may be silent for as long as nothing happens."""
        messages = method(request, metadata=self._metadata)
        try:
            yield from messages
        except grpc.RpcError as error:
            raise _failure(error, doing, None) from error
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
            raise _failure(error, doing, timeout) from error

    def converse(
        self,
        method: "grpc.StreamStreamMultiCallable[Request, Response]",
        messages: Iterator[Request],
        doing: str,
    ) -> Iterator[Response]:
        """The answers to a stream of messages, as they come; both may be silent for long."""
        answers = method(messages)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise _failure(error, doing, None) from error
        finally:
            answers.cancel()

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._channel is not None:
            self._channel.close()

    def reconnect(self) -> None:
        """The next call looks anew for a daemon that answers, and tries this one last."""
        self.close()
        self._channel = None
        first, *others = self.target.hosts
        self.target = dataclasses.replace(self.target, hosts=(*others, first))
        for stub in ("control", "logs", "exec", "checks", "volume_data", "containers", "host"):
            self.__dict__.pop(stub, None)  # what cached_property remembers

    @cached_property
    def target(self) -> contexts.Context:
        """Where calls go: -H, then --context, then the current context, then the local socket."""
        local = contexts.Context("", (self._host or DEFAULT_HOST,), self._cert_path)
        if self._host:
            return local
        try:
            name = self._context or contexts.current()
            found = local if name in ("", DEFAULT_CONTEXT) else contexts.get(name)
        except OSError as error:
            raise SwarmError(
                Code.REFUSED,
                "cannot read the contexts",
                why=f"{error.strerror}: {error.filename}",
                remedy="mend that, or say which daemon with -H",
            ) from error
        return dataclasses.replace(found, cert_dir=self._cert_path or found.cert_dir)

    def serves_host(self) -> bool:
        """Whether calls go to the daemon of one host, which alone serves Host: on this host, or
        by the API of another one.
        """
        target = self.target
        if all(host.startswith("unix:") for host in target.hosts):
            return True
        return bool(target.cert_dir) and of_host_api(target.cert_dir)

    def _connected(self) -> grpc.Channel:
        if self._channel is None:
            self._channel = first_that_answers(self.target, min(CONNECT_TIMEOUT, self.timeout))
        return self._channel


def _failure(error: grpc.RpcError, doing: str, limit: float | None) -> RemoteError:
    if not isinstance(error, grpc.Call):
        return RemoteError(Code.INTERNAL, f"{doing} failed", why=str(error))
    told = from_grpc(error, doing)
    if told.code is Code.DEADLINE and limit is not None and not told.remedy:
        return RemoteError(
            Code.DEADLINE,
            f"{doing} failed",
            why=f"no answer within {limit:g} s",
            remedy="see the log of swarmd, or wait longer with swarmctl --timeout",
        )
    return RemoteError(told.code, told.what, why=told.why, remedy=told.remedy, field=told.field)


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of a whole program
