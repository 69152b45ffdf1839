"""Calls to any manager, over real gRPC, while the lead moves between two of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import SERVER_OPTIONS, socket_target, unix_channel
from api.errors import Code, SwarmError
from api.metadata import STALE
from api.serving import ErrorInterceptor
from api.status import from_grpc
from api.v1 import control_pb2, control_pb2_grpc, exec_pb2, exec_pb2_grpc, objects_pb2
from manager.ca.behalf import FORWARDED
from manager.forwarding.channels import ManagerChannels
from manager.forwarding.forwarder import Forwarder
from tests.support.elapsing import elapse
from tests.support.standing import Standing
from tests.support.until import until

LIMIT = 20.0


class Control:
    """Three RPCs that answer with its name; `answers` holds what one does first, one call each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[dict[str, Any]] = []
        self.answers: list[Callable[[], Awaitable[None]]] = []
        self.arrived = asyncio.Event()

    async def _answer(self, context: Any) -> None:
        self.calls.append(dict(context.invocation_metadata()))
        self.arrived.set()
        if self.answers:
            await self.answers.pop(0)()

    async def CreateService(self, request: Any, context: Any) -> objects_pb2.Service:
        await self._answer(context)
        return objects_pb2.Service(id=f"{self.name}-{request.request_id}")

    async def GetService(self, request: Any, context: Any) -> objects_pb2.Service:
        await self._answer(context)
        return objects_pb2.Service(id=f"{self.name}-{request.key}")

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[control_pb2.WatchMessage]:
        await self._answer(context)
        yield control_pb2.WatchMessage(version=1)

    async def Run(self, requests: Any, context: Any) -> AsyncIterator[exec_pb2.ExecOutput]:
        await self._answer(context)
        async for request in requests:
            yield exec_pb2.ExecOutput(stdout=self.name.encode() + request.stdin)

    def conversations(self) -> grpc.GenericRpcHandler:
        """The RPC in which both sides stream."""
        run = grpc.stream_stream_rpc_method_handler(
            self.Run, exec_pb2.ExecInput.FromString, exec_pb2.ExecOutput.SerializeToString
        )
        return grpc.method_handlers_generic_handler("swarm.v1.Exec", {"Run": run})

    def handlers(self) -> grpc.GenericRpcHandler:
        """As generated code would make them, if there were no other RPCs."""
        requests = control_pb2
        one = grpc.unary_unary_rpc_method_handler
        many = grpc.unary_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            "swarm.v1.Control",
            {
                "CreateService": one(
                    self.CreateService,
                    requests.CreateServiceRequest.FromString,
                    objects_pb2.Service.SerializeToString,
                ),
                "GetService": one(
                    self.GetService,
                    requests.GetRequest.FromString,
                    objects_pb2.Service.SerializeToString,
                ),
                "Watch": many(
                    self.Watch,
                    requests.WatchRequest.FromString,
                    requests.WatchMessage.SerializeToString,
                ),
            },
        )


class Host:
    """One manager: its view of the lead, its handlers, its socket."""

    def __init__(self, folder: Path, name: str) -> None:
        self.standing = Standing()
        self.control = Control(name)
        self.channels = ManagerChannels(self._connect)
        self.dialled: list[str] = []
        self.path = folder / name
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
        self._server.add_generic_rpc_handlers(
            (
                Forwarder(
                    [self.control.handlers(), self.control.conversations()],
                    self.standing,
                    self.channels,
                ),
            )
        )
        self._server.add_insecure_port(socket_target(self.path))
        await self._server.start()

    def _connect(self, address: str) -> grpc.aio.Channel:
        self.dialled.append(address)
        return unix_channel(self.path.with_name(address))

    async def stop(self) -> None:
        await self.channels.close()
        if self._server is not None:
            await self._server.stop(None)


class Pair:
    """Two managers and a client of the first."""

    def __init__(self, folder: Path) -> None:
        self.a, self.b = Host(folder, "a"), Host(folder, "b")
        self.channel = unix_channel(self.a.path)
        self.client: Any = control_pb2_grpc.ControlStub(self.channel)

    async def create(self, timeout: float = LIMIT) -> str:
        request = control_pb2.CreateServiceRequest(request_id="1")
        return str((await self.client.CreateService(request, timeout=timeout)).id)

    async def converse(self) -> Any:
        """A conversation that has begun."""
        call = exec_pb2_grpc.ExecStub(self.channel).Run()
        await self.say(call, b"1")
        return call

    async def say(self, call: Any, text: bytes) -> None:
        await call.write(exec_pb2.ExecInput(stdin=text))

    async def get(self, **metadata: str) -> str:
        request = control_pb2.GetRequest(key="k")
        pairs = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        return str((await self.client.GetService(request, timeout=LIMIT, metadata=pairs)).id)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    made = Pair(folder)
    await made.a.start()
    await made.b.start()
    try:
        async with asyncio.timeout(60):
            yield made
    finally:
        await made.channel.close()
        await made.a.stop()
        await made.b.stop()


def run(scenario: Awaitable[None]) -> None:
    async def main() -> None:
        await scenario

    asyncio.run(main())


async def failure(call: Awaitable[Any]) -> SwarmError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_grpc(caught.value, "the call")


async def given_up(p: Pair) -> SwarmError:
    """What is told of a change whose time is over while the first manager looks for a leader."""
    elapse(0)  # the call will take the clock of the loop
    failing = asyncio.create_task(failure(p.create()))
    await until(lambda: bool(p.a.standing.callbacks))
    elapse(LIMIT)
    return await failing


def refusal(code: Code = Code.CONFLICT) -> Callable[[], Awaitable[None]]:
    async def refuse() -> None:
        raise SwarmError(code, "no")

    return refuse


def test_the_leader_answers_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("a", itself=True)
            assert await p.create() == "a-1"
            assert p.b.control.calls == []

    run(scenario())


def test_a_follower_passes_a_change_on_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("b", itself=True)
            assert await p.create() == "b-1"
            assert [call[FORWARDED] for call in p.b.control.calls] == ["1"]
            assert p.a.control.calls == []

    run(scenario())


def test_what_was_passed_on_is_not_passed_on_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("a")  # each thinks that the other leads
            lost = await given_up(p)
            assert lost.code is Code.UNAVAILABLE
            assert "leader" in lost.why
            assert (p.a.dialled, p.b.dialled) == (["b"], [])
            assert p.a.control.calls == p.b.control.calls == []

    run(scenario())


def test_a_conversation_that_was_passed_on_is_not_passed_on_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("a")
            call = await p.converse()
            assert (await failure(call.read())).code is Code.UNAVAILABLE
            assert (p.a.dialled, p.b.dialled) == (["b"], [])

    run(scenario())


def test_a_change_waits_for_the_election(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.b.standing.sees("b", itself=True)
            creating = asyncio.create_task(p.create())
            await asyncio.sleep(0.05)
            assert not creating.done()
            p.a.standing.sees("b")
            assert await creating == "b-1"

    run(scenario())


def test_a_change_that_hangs_at_a_fallen_leader_goes_to_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("b", itself=True)
            frozen = asyncio.Event()
            p.b.control.answers.append(lambda: _until(frozen))
            creating = asyncio.create_task(p.create())
            await p.b.control.arrived.wait()
            p.a.standing.sees("a", itself=True)
            assert await creating == "a-1"
            frozen.set()

    run(scenario())


def test_a_leader_that_falls_while_it_works_passes_the_change_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("a", itself=True)
            p.b.standing.sees("b", itself=True)

            async def fall() -> None:
                p.a.standing.sees("b")
                raise SwarmError(Code.UNAVAILABLE, "this manager does not lead any more")

            p.a.control.answers.append(fall)
            assert await p.create() == "b-1"

    run(scenario())


def test_what_a_leader_cannot_do_just_now_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("a", itself=True)
            p.a.control.answers.append(refusal(Code.UNAVAILABLE))
            assert (await failure(p.create())).what == "no"

    run(scenario())


def test_a_refusal_is_told_when_the_lead_is_certain(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("a", itself=True)
            p.a.control.answers.append(refusal())
            assert (await failure(p.create())).code is Code.CONFLICT
            assert p.a.standing.barriers == 1

    run(scenario())


def test_a_refusal_by_a_fallen_leader_is_not_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("a", itself=True)
            p.b.standing.sees("b", itself=True)

            async def refuse_as_the_past() -> None:
                p.a.standing.sees("b")
                raise SwarmError(Code.NOT_FOUND, "not here")

            p.a.control.answers.append(refuse_as_the_past)
            assert await p.create() == "b-1"

    run(scenario())


def test_a_refusal_of_the_leader_comes_back_through_the_follower(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("b", itself=True)
            p.b.control.answers.append(refusal(Code.EXISTS))
            assert (await failure(p.create())).code is Code.EXISTS

    run(scenario())


def test_a_read_is_answered_where_it_was_asked_after_a_barrier(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            assert await p.get() == "a-k"
            assert p.a.standing.barriers == 1
            stream = p.client.Watch(control_pb2.WatchRequest(), timeout=20)
            assert [each.version async for each in stream] == [1]
            assert p.a.standing.barriers == 2

    run(scenario())


def test_a_stale_read_asks_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.barrier_error = SwarmError(Code.UNAVAILABLE, "no leader")
            assert (await failure(p.get())).code is Code.UNAVAILABLE
            barriers = p.a.standing.barriers
            assert await p.get(**{STALE.replace("-", "_"): "1"}) == "a-k"
            assert p.a.standing.barriers == barriers

    run(scenario())


def test_whether_a_change_was_made_is_said_to_be_unknown_only_where_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            never_sent = await given_up(p)
            assert "no leader" in never_sent.what
            p.a.standing.sees("a", itself=True)

            async def fall() -> None:
                p.a.standing.sees("")
                raise SwarmError(Code.UNAVAILABLE, "the lead was lost")

            p.a.control.answers.append(fall)
            unknown = await given_up(p)
            assert unknown.code is Code.UNAVAILABLE
            assert "not known" in unknown.what

    run(scenario())


def test_a_manager_that_has_failed_does_not_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("a", itself=True)

            async def fail() -> None:
                p.a.standing.is_alive = False
                p.a.standing.sees("")
                raise SwarmError(Code.UNAVAILABLE, "the disk is full")

            p.a.control.answers.append(fail)
            assert "the disk is full" in (await failure(p.create(timeout=60.0))).why

    run(scenario())


def test_a_caller_that_leaves_ends_the_call_at_the_leader(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("b", itself=True)
            ended = asyncio.Event()

            async def hang() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

            p.b.control.answers.append(hang)
            creating = asyncio.create_task(p.create())
            await p.b.control.arrived.wait()
            creating.cancel()
            await ended.wait()

    run(scenario())


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def test_a_conversation_is_held_with_the_leader_or_here(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("b", itself=True)
            there = await p.converse()
            assert (await there.read()).stdout == b"b1"
            await p.say(there, b"2")
            assert (await there.read()).stdout == b"b2"
            await there.done_writing()
            assert await there.read() is grpc.aio.EOF
            assert FORWARDED in p.b.control.calls[0]
            p.a.standing.sees("a", itself=True)
            here = await p.converse()
            assert (await here.read()).stdout == b"a1"
            here.cancel()

    run(scenario())


def test_a_conversation_waits_for_a_leader_and_ends_with_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.b.standing.sees("b", itself=True)
            call = await p.converse()
            p.a.standing.sees("b")
            assert (await call.read()).stdout == b"b1"
            p.a.standing.sees("a", itself=True)
            assert (await failure(call.read())).code is Code.UNAVAILABLE
            assert p.a.control.calls == []

    run(scenario())


def test_who_leaves_a_conversation_ends_it_on_the_leader(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path) as p:
            p.a.standing.sees("b")
            p.b.standing.sees("b", itself=True)
            left = asyncio.Event()

            async def stay() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    left.set()

            p.b.control.answers.append(stay)
            call = await p.converse()
            await p.b.control.arrived.wait()
            call.cancel()
            await left.wait()

    run(scenario())
