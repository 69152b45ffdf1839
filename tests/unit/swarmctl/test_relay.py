"""The relay of a worker: managers in turn, deadlines, streams that outlive a new certificate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import socket_target, unix_channel
from api.errors import Code, SwarmError
from api.serving import ErrorInterceptor
from api.v1 import control_pb2, control_pb2_grpc, objects_pb2
from swarmctl.relay import Relay
from tests.support.elapsing import elapse

GET = "/swarm.v1.Control/GetService"
WATCH = "/swarm.v1.Control/Watch"
LIMIT = 20.0
REQUEST = control_pb2.GetRequest(key="web").SerializeToString()


class Manager(control_pb2_grpc.ControlServicer):
    """Answers with its name; `behaviour` says what else it does."""

    def __init__(self, name: str, behaviour: str = "") -> None:
        self.name = name
        self.behaviour = behaviour
        self.asked = 0
        self.called = asyncio.Event()
        self.proceed = asyncio.Event()
        self.left = asyncio.Event()

    async def GetService(
        self, request: control_pb2.GetRequest, context: Any
    ) -> objects_pb2.Service:
        self.asked += 1
        self.called.set()
        if self.behaviour == "refuses":
            raise SwarmError(Code.NOT_FOUND, "no such service")
        if self.behaviour == "follows":
            raise SwarmError(Code.UNAVAILABLE, "this manager does not lead")
        if self.behaviour == "hangs":
            await self.proceed.wait()
        return objects_pb2.Service(id=self.name)

    async def Watch(
        self, request: control_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[control_pb2.WatchMessage]:
        try:
            yield control_pb2.WatchMessage(version=1)
            await self.proceed.wait()
            if self.behaviour == "breaks":
                raise SwarmError(Code.UNAVAILABLE, "gone")
            yield control_pb2.WatchMessage(version=2)
        finally:
            self.left.set()


@asynccontextmanager
async def relayed(directory: Path, *managers: Manager, known: str = "abc") -> AsyncIterator[Relay]:
    """A relay to these managers, and to addresses in `known` where nobody listens."""
    async with AsyncExitStack() as stack:
        for manager in managers:
            server = grpc.aio.server(interceptors=[ErrorInterceptor()])
            control_pb2_grpc.add_ControlServicer_to_server(manager, server)
            server.add_insecure_port(socket_target(directory / manager.name))
            await server.start()
            stack.push_async_callback(server.stop, None)
        relay = Relay(lambda: list(known), lambda address: unix_channel(directory / address))
        stack.push_async_callback(relay.close)
        yield relay


def manager(name: str, behaviour: str = "") -> Manager:
    return Manager(name, behaviour)  # type: ignore[abstract]


async def asked(relay: Relay, timeout: float = LIMIT) -> str:
    return objects_pb2.Service.FromString(await relay.call(GET, REQUEST, timeout=timeout)).id


async def refusal(call: Awaitable[object]) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        await call
    return refused.value


def test_a_manager_that_is_away_is_passed_over_and_the_last_good_one_comes_first(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        b, c = manager("b", "follows"), manager("c")
        async with relayed(tmp_path, b, c) as relay:
            assert [await asked(relay), await asked(relay)] == ["c", "c"]
            assert (b.asked, c.asked) == (1, 2)

    asyncio.run(scenario())


def test_a_refusal_is_the_answer_and_nobody_else_is_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        a, b = manager("a", "refuses"), manager("b")
        async with relayed(tmp_path, a, b) as relay:
            assert (await refusal(asked(relay))).code is Code.NOT_FOUND
            assert b.asked == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("known", ["abc", ""])
def test_when_nobody_answers_the_caller_is_told(tmp_path: Path, known: str) -> None:
    async def scenario() -> None:
        async with relayed(tmp_path, known=known) as relay:
            error = await refusal(asked(relay))
            assert (error.code, "manager" in error.what) == (Code.UNAVAILABLE, True)

    asyncio.run(scenario())


def test_a_deadline_holds_for_all_managers_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with relayed(tmp_path, manager("a", "hangs"), manager("b")) as relay:
            assert (await refusal(asked(relay, timeout=0.2))).code is Code.DEADLINE

    asyncio.run(scenario())


def test_what_a_manager_said_tells_more_than_that_time_ran_out_with_the_next(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        follower = manager("a", "follows")
        async with relayed(tmp_path, follower, manager("b", "hangs"), known="ab") as relay:
            telling = asyncio.create_task(refusal(asked(relay)))
            await follower.called.wait()
            elapse(LIMIT - 0.5)
            told = await telling
            assert (told.code, told.what) == (Code.UNAVAILABLE, "this manager does not lead")

    asyncio.run(scenario())


def test_a_stream_goes_on_over_the_old_channel_after_credentials_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        a = manager("a")
        async with relayed(tmp_path, a) as relay:
            stream = relay.stream(WATCH, b"", timeout=None)
            assert await anext(stream)
            relay.renew()
            assert await asked(relay) == "a"
            a.proceed.set()
            assert [control_pb2.WatchMessage.FromString(m).version async for m in stream] == [2]

    asyncio.run(scenario())


def test_a_stream_that_breaks_half_way_is_not_begun_with_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        a, b = manager("a", "breaks"), manager("b")
        async with relayed(tmp_path, a, b) as relay:
            stream = relay.stream(WATCH, b"", timeout=None)
            await anext(stream)
            a.proceed.set()
            error = await refusal(anext(stream))
            assert (error.code, error.what) == (Code.UNAVAILABLE, "gone")

    asyncio.run(scenario())


def test_a_manager_hears_that_the_reader_of_a_stream_has_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        b = manager("b")
        async with relayed(tmp_path, b) as relay:
            async with aclosing(relay.stream(WATCH, b"", timeout=None)) as stream:
                await anext(stream)
            async with asyncio.timeout(LIMIT):
                await b.left.wait()

    asyncio.run(scenario())


def test_closing_ends_calls_under_way_with_a_cause(tmp_path: Path) -> None:
    async def scenario() -> None:
        a = manager("a", "hangs")
        async with relayed(tmp_path, a) as relay:
            call = asyncio.create_task(refusal(asked(relay)))
            stream = relay.stream(WATCH, b"", timeout=None)
            await anext(stream)
            await a.called.wait()
            await relay.close()
            assert (await call).code is Code.UNAVAILABLE
            assert (await refusal(anext(stream))).code is Code.UNAVAILABLE

    asyncio.run(scenario())
