"""A daemon for tests of the command line: a real gRPC server on a unix socket that says what a
test told it to say. It keeps no state of its own; it remembers what it was asked.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from api.errors import Code, SwarmError
from api.status import to_grpc
from api.v1 import check_pb2, containers_pb2, control_pb2, exec_pb2, host_pb2, logs_pb2, volume_pb2

SILENCE = object()
"""An answer that does not come: the call hangs until its deadline, or the daemon is closed."""

Single = Message | SwarmError | object
Answer = Single | Sequence[Single] | Callable[[Any], Any]
"""A message; an error; SILENCE; a list of these for a stream, where one stands for a list of one;
or what makes one of a request.
"""

_METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in (
        check_pb2.DESCRIPTOR,
        containers_pb2.DESCRIPTOR,
        control_pb2.DESCRIPTOR,
        exec_pb2.DESCRIPTOR,
        host_pb2.DESCRIPTOR,
        logs_pb2.DESCRIPTOR,
        volume_pb2.DESCRIPTOR,
    )
    for service in file.services_by_name.values()
    for method in service.methods
}


class ScriptedDaemon(grpc.GenericRpcHandler):
    """Serves all that `swarmctl` asks for at `address` while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder / 'swarmd.sock'}"
        self._answers: dict[str, list[Answer]] = {}
        self._asked: dict[str, list[Any]] = {}
        self._metadata: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(self.address.replace("unix://", "unix:"))

    def __enter__(self) -> "ScriptedDaemon":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def on(self, method: str, *answers: Answer) -> None:
        """Answers calls of a method with these, in turn; the last one again and again."""
        self._answers[method] = list(answers)

    def asked(self, method: str) -> list[Any]:
        """The requests that came for a method; for a stream of requests a list of them each,
        or what is left of it where both sides stream.
        """
        return self._asked.get(method, [])

    def metadata(self, method: str) -> set[str]:
        """The keys of metadata that came with the last call of a method."""
        return self._metadata.get(method, set())

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of one call, by the method's description in the proto files."""
        method = _METHODS[handler_call_details.method]
        self._metadata[method.name] = {key for key, _ in handler_call_details.invocation_metadata}
        kinds = {
            "request_deserializer": GetMessageClass(method.input_type).FromString,
            "response_serializer": lambda message: message.SerializeToString(),
        }
        if method.server_streaming and method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._stream(method.name, requests, context), **kinds
            )
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._stream(method.name, request, context), **kinds
            )
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(
                lambda requests, context: self._call(method.name, list(requests), context), **kinds
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._call(method.name, request, context), **kinds
        )

    def _call(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        return self._say(self._next(name, request), context)

    def _stream(self, name: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        answer = self._next(name, request)
        single = isinstance(answer, Message | SwarmError) or answer is SILENCE
        for each in [answer] if single else answer:
            yield self._say(each, context)

    def _next(self, name: str, request: Any) -> Any:
        with self._lock:
            self._asked.setdefault(name, []).append(request)
            script = self._answers.get(name)
            if not script:
                return SwarmError(Code.UNSUPPORTED, f"the test has no answer to {name}")
            answer = script.pop(0) if len(script) > 1 else script[0]
        return answer(request) if callable(answer) else answer

    def _say(self, answer: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(answer, SwarmError):
            code, details, trailers = to_grpc(answer)
            context.set_trailing_metadata(trailers)
            context.abort(code, details)
        if answer is SILENCE:
            # Ends with the call, which ends with the daemon at the latest.
            ended = threading.Event()
            if context.add_callback(ended.set):
                ended.wait()
            context.abort(grpc.StatusCode.CANCELLED, "the call ended")
        return answer
