"""Calls between processes, in the place of gRPC's channels and servers: the same generated stubs
and servicers meet here, over the simulated network, and see the same errors.

A call keeps its order and loses nothing until it breaks. Then both ends are told, each at its time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing
from typing import Any

import grpc

from api.errors import Code, SwarmError
from api.serving import Caller, set_caller
from api.status import from_grpc, to_grpc
from manager.ca.behalf import behind
from tests.sim.control.loop import Process
from tests.sim.control.network import Network

Metadata = tuple[tuple[str, str | bytes], ...]


class Server:
    """What one process serves at one address."""

    def __init__(self, process: Process, handlers: list[grpc.GenericRpcHandler]) -> None:
        self.process = process
        self._handlers = handlers

    def find(self, method: str) -> Any:
        """The handler of a method; UNSUPPORTED if nobody serves it."""
        details = _Details(method)
        for each in self._handlers:
            found = each.service(details)
            if found is not None:
                return found
        raise SwarmError(Code.UNSUPPORTED, f"{method} is not served")


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


class ServerContext:
    """What servicers ask of their call."""

    def __init__(self, call: "Call") -> None:
        self._call = call

    def peer(self) -> str:
        """The client's address, as gRPC writes it."""
        return f"ipv4:{self._call.channel.host}:40000"

    def invocation_metadata(self) -> Metadata:
        """What came along."""
        return self._call.metadata

    def time_remaining(self) -> float | None:
        """Seconds that the caller still waits."""
        return self._call.time_remaining()


class Channel:
    """A client's way to one address; `host` is where the client is, `caller` who it is."""

    def __init__(
        self, network: Network, process: Process, host: str, caller: Caller, address: str
    ) -> None:
        self.network = network
        self.process = process
        self.host = host
        self.caller = caller
        self.address = address
        self._calls: dict[Call, None] = {}

    @property
    def target(self) -> str:
        """The host at the address."""
        return self.address.partition(":")[0]

    def unary_unary(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool = False,
    ) -> Callable[..., "Call"]:
        """A method with one answer."""
        return self._method(path, request_serializer, response_deserializer)

    def unary_stream(
        self,
        path: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool = False,
    ) -> Callable[..., "Call"]:
        """A method that streams its answers."""
        return self._method(path, request_serializer, response_deserializer)

    def stream_unary(self, path: str, *_: object, **__: object) -> None:
        """Nobody streams requests here: logs are not simulated."""

    def stream_stream(self, path: str, *_: object, **__: object) -> None:
        """As `stream_unary`: commands are not simulated."""

    async def close(self) -> None:
        """Ends every call."""
        for call in list(self._calls):
            call.cancel()

    def _method(
        self,
        path: str,
        serialize: Callable[[Any], bytes] | None,
        deserialize: Callable[[bytes], Any] | None,
    ) -> Callable[..., "Call"]:
        def begin(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> Call:
            data = request if serialize is None else serialize(request)
            call = Call(self, path, data, deserialize or (lambda answer: answer), timeout, metadata)
            self._calls[call] = None
            call.done.add_done_callback(lambda _: self._calls.pop(call, None))
            call.begin()
            return call

        return begin


class Call:
    """One call, both ends of it. Awaited or read at the client's."""

    def __init__(
        self,
        channel: Channel,
        path: str,
        request: bytes,
        deserialize: Callable[[bytes], Any],
        timeout: float | None,
        metadata: Any,
    ) -> None:
        self.channel = channel
        self.metadata: Metadata = tuple(metadata)
        self._network = channel.network
        self._loop = self._network.loop
        self._path = path
        self._request = request
        self._deserialize = deserialize
        self._deadline = None if timeout is None else self._loop.time() + timeout
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._broken = False
        self._arrivals = {True: 0.0, False: 0.0}  # the last one, towards the server or the client
        self._answers: deque[Any] = deque()
        self._news = asyncio.Event()
        self.done: asyncio.Future[None] = self._loop.create_future()

    # The client's end.

    def begin(self) -> None:
        """Sends the request."""
        self._network.calls[self] = None
        self.done.add_done_callback(self._left)
        if self._deadline is not None:
            self.channel.process.later(self._deadline - self._loop.time(), self._too_late)
        self._carry(self._arrive, to_server=True)

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self.done
        return self._answers[0]

    @property
    def answer(self) -> Any:
        """The first answer, once it is done."""
        return self._answers[0]

    async def read(self) -> Any:
        """The next message, or EOF."""
        while not self._answers:
            if self.done.done():
                self.done.result()
                return grpc.aio.EOF
            self._news.clear()
            await self._news.wait()
        return self._answers.popleft()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    def cancel(self) -> bool:
        """The client does not want it any more."""
        return self.done.cancel()

    def time_remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    def _left(self, done: asyncio.Future[None]) -> None:
        self._network.calls.pop(self, None)
        self._news.set()
        if not done.cancelled():
            done.exception()  # it is nobody's duty to read it
        if not self._broken and self.channel.process.alive:
            self._carry(self._cancel_server, to_server=True)

    def _too_late(self) -> None:
        self._fail(SwarmError(Code.DEADLINE, "Deadline Exceeded"))

    def _answered(self, answer: bytes) -> None:
        if not self.done.done():
            self._answers.append(self._deserialize(answer))
            self._news.set()

    def _ended(self, error: SwarmError | None) -> None:
        if error is not None:
            self._fail(error)
        elif not self.done.done():
            self.done.set_result(None)

    def _fail(self, error: SwarmError) -> None:
        if not self.done.done():
            code, details, trailers = to_grpc(error)
            nothing = grpc.aio.Metadata()
            self.done.set_exception(
                grpc.aio.AioRpcError(code, nothing, grpc.aio.Metadata(*trailers), details)
            )

    # The server's end.

    def _arrive(self) -> None:
        server = self._network.servers.get(self.channel.address)
        if server is None:
            self._network.later(self._network.latency(), self._lose_client)
            return
        self._server = server
        server.process.call(self._serve, server)

    def _serve(self, server: Server) -> None:
        if not self.done.done():
            self._task = server.process.spawn(self._answer(server))

    async def _answer(self, server: Server) -> None:
        set_caller(behind(self.channel.caller, self.metadata))
        error: SwarmError | None = None
        try:
            handler = server.find(self._path)
            request = handler.request_deserializer(self._request)
            context = ServerContext(self)
            if handler.response_streaming:
                async with aclosing(handler.unary_stream(request, context)) as messages:
                    async for message in messages:
                        self._reply(handler.response_serializer(message))
            else:
                answer = await handler.unary_unary(request, context)
                self._reply(handler.response_serializer(answer))
        except SwarmError as refused:
            error = refused
        except grpc.aio.AioRpcError as failed:
            error = from_grpc(failed, "asking another node")
        if server.process.alive:
            self._carry(lambda: self._to_client(self._ended, error), to_server=False)

    def _reply(self, answer: bytes) -> None:
        if self._server is not None and self._server.process.alive:
            self._carry(lambda: self._to_client(self._answered, answer), to_server=False)

    def _cancel_server(self) -> None:
        if self._server is not None:
            self._server.process.call(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # Between them.

    def _carry(self, action: Callable[[], None], *, to_server: bool) -> None:
        """Lets something arrive at the other end, after all that was sent before."""
        soonest = self._loop.time() + self._network.latency()
        moment = max(self._arrivals[to_server], soonest)
        self._arrivals[to_server] = moment
        self._network.at(moment, self._passed, action, to_server)

    def _passed(self, action: Callable[[], None], to_server: bool) -> None:
        ends = self.channel.host, self.channel.target
        if self._broken:
            return
        if self._network.passes(*(ends if to_server else reversed(ends))):
            action()
        else:
            self._break()

    def _to_client(self, action: Callable[[Any], None], what: object) -> None:
        self.channel.process.call(action, what)

    def reset(self) -> None:
        """The connection is reset: both ends hear of it soon."""
        self._broken = True
        self._network.later(self._network.latency(), self._lose_client)
        self._network.later(self._network.latency(), self._cancel_server)

    def _break(self) -> None:
        """What was sent is not acknowledged: each end gives up at its time."""
        self._broken = True
        self._network.later(self._network.notice(), self._lose_client)
        self._network.later(self._network.notice(), self._cancel_server)

    def _lose_client(self) -> None:
        error = SwarmError(Code.UNAVAILABLE, "the connection broke")
        self._to_client(self._fail, error)

    def end_lost(self, process: Process, *, silently: bool) -> None:
        """One of the two processes has died."""
        mine = process is self.channel.process
        theirs = self._server is not None and self._server.process is process
        if self._broken or not (mine or theirs):
            return
        reachable = self._network.passes(self.channel.host, self.channel.target)
        if silently or not reachable:
            self._break()
        else:
            self.reset()
