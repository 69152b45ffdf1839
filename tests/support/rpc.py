"""Services behind a real gRPC server on loopback, where a call says itself which node makes it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from api.errors import SwarmError
from api.serving import Caller, Context, ErrorInterceptor, guarded, set_caller
from api.status import from_grpc
from manager.state.changes import Batch, Change
from manager.state.proposer import Proposer
from manager.state.store import Store
from manager.state.watch import WatchHub

KEY = "test-node"
LIMIT = 20.0
"""Seconds after which a test that waits for something has failed."""


def as_node(node_id: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call that the node makes."""
    return ((KEY, node_id),)


class _Named(grpc.aio.ServerInterceptor):
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        return guarded(await continuation(handler_call_details), _let_in)


@asynccontextmanager
async def _let_in(context: Context) -> AsyncIterator[None]:
    names = [value for key, value in context.invocation_metadata() or () if key == KEY]
    if names:
        set_caller(Caller(role="worker", id=str(names[0]), cluster_id="cluster", via="tls"))
    yield


@asynccontextmanager
async def served(*add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server with these services."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), _Named()])
    for each in add:
        each(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


async def failure(call: Awaitable[object]) -> SwarmError:
    """The SwarmError that the call fails with."""
    try:
        async with asyncio.timeout(LIMIT):
            answer = await call
    except grpc.aio.AioRpcError as error:
        return from_grpc(error, "the call")
    raise AssertionError(f"answered {answer}")


async def read(call: Any) -> Any:
    """The next message of a stream, which must come."""
    async with asyncio.timeout(LIMIT):
        message = await call.read()
    assert message is not grpc.aio.EOF, f"ended: {await call.code()} {await call.details()}"
    return message


async def ending(call: Any) -> SwarmError:
    """The SwarmError that a stream ends with, after whatever it still sends."""

    async def drain() -> None:
        while await call.read() is not grpc.aio.EOF:
            pass

    return await failure(drain())


async def write(proposer: Proposer, *changes: Change) -> None:
    """Applies each change as a batch of its own; AssertionError if one is refused."""
    applied = await proposer.propose([Batch((change,)) for change in changes])
    assert not any(applied.results), applied.results


async def holds(store: Store, hub: WatchHub, what: Callable[[Store], bool]) -> None:
    """Waits until `what` is true of the store."""
    woken = asyncio.Event()
    subscription = hub.subscribe(woken.set)
    try:
        async with asyncio.timeout(LIMIT):
            while not what(store):
                woken.clear()
                await woken.wait()
    finally:
        hub.unsubscribe(subscription)
