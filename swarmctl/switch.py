"""Sends each cluster call that arrives on the local socket to whoever can serve it just now.

On a manager that is the manager in this process, on a worker a manager elsewhere; on a node that is
in no swarm, or locked, an error that says what to do. How calls reach a manager elsewhere is
relay.py's affair.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from api.errors import Code, SwarmError
from api.metadata import is_stale_read
from api.v1 import check_pb2, control_pb2, exec_pb2, logs_pb2, volume_pb2
from swarmctl.relay import Relay

PASSED_ON = (
    "swarm.v1.Control",
    "swarm.v1.Logs",
    "swarm.v1.Exec",
    "swarm.v1.NetworkCheck",
    "swarm.v1.VolumeData",
)
RELAY_TIMEOUT = 60.0
"""Seconds that a call with one answer may take, if the caller set no deadline."""


class Switch(grpc.GenericRpcHandler):
    """The handler of a server whose services come and go while it runs."""

    def __init__(self) -> None:
        self._local: list[grpc.GenericRpcHandler] = []
        self._relay: Relay | None = None
        self._refusal: Callable[[], SwarmError] = _no_swarm
        self._streaming = _methods(lambda method: method.server_streaming)
        self._conversing = _methods(lambda method: method.client_streaming)

    def serve_locally(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Serves cluster calls in this process."""
        self._local = list(handlers)
        self._relay = None

    def pass_on(self, relay: Relay) -> None:
        """Sends cluster calls to a manager elsewhere."""
        self._local = []
        self._relay = relay

    def refuse(self, refusal: Callable[[], SwarmError] | None = None) -> None:
        """Answers every cluster call with this error; without one, with how to get into a swarm."""
        self._local = []
        self._relay = None
        self._refusal = refusal or _no_swarm

    def pause(self) -> None:
        """Asks every cluster call to come again: another life, if any, is not there yet."""
        self.refuse(_changing)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of one call."""
        for handler in self._local:
            found = handler.service(handler_call_details)
            if found is not None:
                return found
        method = str(handler_call_details.method)
        if method.strip("/").rpartition("/")[0] not in PASSED_ON:
            return None
        if method in self._conversing:
            return grpc.stream_stream_rpc_method_handler(self._conversation_of(method))
        if method in self._streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream_of(method))
        return grpc.unary_unary_rpc_method_handler(self._call_of(method))

    def _target(self) -> Relay:
        if self._relay is None:
            raise self._refusal()
        return self._relay

    def _call_of(self, method: str) -> Any:  # noqa: ANN401 - grpc's handlers have no narrower type
        async def call(request: bytes, context: Any) -> bytes:  # noqa: ANN401
            remaining = context.time_remaining()
            timeout = RELAY_TIMEOUT if remaining is None else float(remaining)
            return await self._target().call(
                method, request, timeout=timeout, stale=is_stale_read(context.invocation_metadata())
            )

        return call

    def _stream_of(self, method: str) -> Any:  # noqa: ANN401
        async def stream(request: bytes, context: Any) -> AsyncGenerator[bytes, None]:  # noqa: ANN401
            remaining = context.time_remaining()
            stale = is_stale_read(context.invocation_metadata())
            answers = self._target().stream(method, request, timeout=remaining, stale=stale)
            async with aclosing(answers) as messages:
                async for message in messages:
                    yield message

        return stream

    def _conversation_of(self, method: str) -> Any:  # noqa: ANN401
        async def converse(
            requests: AsyncIterator[bytes],
            context: Any,  # noqa: ANN401
        ) -> AsyncGenerator[bytes, None]:
            remaining = context.time_remaining()
            answers = self._target().converse(method, requests, timeout=remaining)
            async with aclosing(answers) as messages:
                async for message in messages:
                    yield message

        return converse


def _no_swarm() -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        "this node is not part of a swarm",
        remedy="run swarmctl swarm init, or swarmctl swarm join with a token",
    )


def _changing() -> SwarmError:
    return SwarmError(
        Code.UNAVAILABLE,
        "this node's place in its swarm is changing just now",
        remedy="try again in a moment",
    )


def _methods(wanted: Callable[[MethodDescriptor], bool]) -> frozenset[str]:
    files: tuple[FileDescriptor, ...] = (
        check_pb2.DESCRIPTOR,
        control_pb2.DESCRIPTOR,
        exec_pb2.DESCRIPTOR,
        logs_pb2.DESCRIPTOR,
        volume_pb2.DESCRIPTOR,
    )
    return frozenset(
        f"/{service.full_name}/{method.name}"
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
        if wanted(method)
    )
