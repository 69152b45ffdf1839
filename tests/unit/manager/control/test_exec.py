"""Clients that run commands and real agents that carry them out, over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import grpc
import pytest

from api.errors import Code, SwarmError
from api.serving import Caller, Context, ErrorInterceptor, guarded, set_caller
from api.v1 import exec_pb2, exec_pb2_grpc, objects_pb2
from hostkit.clock import monotonic, wall
from manager.control.exec import ExecBrokerService, ExecService
from manager.state.changes import StoredObject, copy, create, update
from manager.state.watch import WatchHub
from tests.support.builders import DOWN, node, service, task
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.fake_executor import FakeCommand, FakeExecutor
from tests.support.rpc import LIMIT, ending, read, write
from tests.support.sealed_store import SealedStore
from worker.exec import CommandServer

Input = exec_pb2.ExecInput
Start = exec_pb2.ExecStart


class _AsN1(grpc.aio.ServerInterceptor):
    """Everybody is the node n1."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        return guarded(await continuation(handler_call_details), _let_in)


@asynccontextmanager
async def _let_in(context: Context) -> AsyncIterator[None]:
    set_caller(Caller(role="worker", id="n1", cluster_id="cluster", via="tls"))
    yield


class Bench:
    """The task t1 on n1 and t2 on n2; only n1 has an agent."""

    def __init__(self) -> None:
        self.store = SealedStore()
        self.hub = WatchHub()
        self.proposer = DirectProposer(self.store, wall, self.hub)
        self.commands = ExecService(
            store=self.store, hub=self.hub, monotonic=monotonic, ids=counter("x")
        )
        self.executor = FakeExecutor()
        self.channel: Any = None
        self.agent: asyncio.Task[Any] | None = None

    def start_agent(self) -> None:
        server = CommandServer(self.executor, Random(1))
        self.agent = asyncio.create_task(server.serve(self.channel, self.find))

    def find(self, task_id: str) -> objects_pb2.Task | None:
        return self.store.get(objects_pb2.Task, task_id)

    async def stop_agent(self) -> None:
        assert self.agent is not None
        self.agent.cancel()
        await asyncio.gather(self.agent, return_exceptions=True)

    async def run(self, task_id: str = "t1", **changes: Any) -> Any:
        call = exec_pb2_grpc.ExecStub(self.channel).Run()
        await call.write(Input(start=Start(task_id=task_id, command=["cat"], **changes)))
        return call

    async def started(self, **changes: Any) -> tuple[Any, FakeCommand]:
        call = await self.run(stdin=True, **changes)
        assert (await read(call)).started
        return call, self.executor.commands["t1"]

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not what():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    objects: tuple[StoredObject, ...] = (
        service("web", 2), node("n1"), node("n2"),
        task("t1", slot=1, node_id="n1"), task("t2", slot=2, node_id="n2"),
    )  # fmt: skip
    await write(made.proposer, *map(create, objects))
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), _AsN1()])
    exec_pb2_grpc.add_ExecServicer_to_server(made.commands, server)
    exec_pb2_grpc.add_ExecBrokerServicer_to_server(ExecBrokerService(made.commands), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made.channel:
            made.start_agent()
            yield made
            await made.stop_agent()
    finally:
        await server.stop(None)
    made.store.check_seals()


def run(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(3 * LIMIT), bench() as made:
            await scenario(made)

    asyncio.run(limited())


def test_input_output_and_exit_code() -> None:
    async def scenario(b: Bench) -> None:
        call, command = await b.started(user="app")
        assert command.start.user == "app"
        await call.write(Input(stdin=b"\x05abc"))
        assert (await read(call)).stdout == b"\x05abc"
        await call.write(Input(resize=exec_pb2.WindowSize(rows=3, columns=4)))
        await call.write(Input(signal=15))
        await call.write(Input(end_of_stdin=True))
        assert (await read(call)).exit_code == 5
        assert await call.read() is grpc.aio.EOF
        assert command.told == [(3, 4), 15]
        await b.until(lambda: command.closed)

    run(scenario)


def test_the_client_leaves_though_the_command_does_not_read() -> None:
    async def scenario(b: Bench) -> None:
        call, command = await b.started()
        command.eats = 10
        piece = Input(stdin=b"x" * 60_000)
        writing = asyncio.create_task(_write_for_ever(call, piece))
        await b.until(b.commands.exchange.sessions()[0].inputs.full)
        assert not writing.done()
        call.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await b.until(lambda: command.closed)
        assert b.commands.exchange.sessions() == []

    run(scenario)


async def _write_for_ever(call: Any, message: exec_pb2.ExecInput) -> None:
    while True:
        await call.write(message)


def test_an_agent_that_goes_is_an_error() -> None:
    async def scenario(b: Bench) -> None:
        call, command = await b.started()
        await b.stop_agent()
        error = await ending(call)
        assert (error.code, "n1" in error.what) == (Code.UNAVAILABLE, True)
        assert command.closed

    run(scenario)


def test_a_node_that_goes_down_is_an_error_at_once() -> None:
    async def scenario(b: Bench) -> None:
        call, command = await b.started()
        found = b.store.get(objects_pb2.Node, "n1")
        assert found is not None
        changed = copy(found)
        changed.status.state = DOWN
        await write(b.proposer, update(changed))
        assert (await ending(call)).code is Code.UNAVAILABLE
        await b.until(lambda: command.closed)

    run(scenario)


def test_a_manager_that_leads_no_more_ends_all() -> None:
    async def scenario(b: Bench) -> None:
        call, command = await b.started()
        b.commands.end()
        assert (await ending(call)).code is Code.UNAVAILABLE
        await b.until(lambda: command.closed)
        again, _ = await b.started()  # the agent listens anew
        again.cancel()

    run(scenario)


@pytest.mark.parametrize(
    ("task_id", "code"), [("t2", Code.UNAVAILABLE), ("t3", Code.NOT_FOUND), ("", Code.INVALID)]
)
def test_whom_nobody_answers_for(task_id: str, code: Code, monkeypatch: Any) -> None:
    monkeypatch.setattr("manager.control.exec_book.ATTACH_LIMIT", 0.2)

    async def scenario(b: Bench) -> None:
        assert (await ending(await b.run(task_id))).code is code

    run(scenario)


def test_what_the_node_cannot_run_is_said_as_it_said_it() -> None:
    async def scenario(b: Bench) -> None:
        b.executor.failures["exec"].append(
            SwarmError(Code.REFUSED, "no", why="because", remedy="do", field="user")
        )
        error = await ending(await b.run())
        assert (error.code, error.what, error.why) == (Code.REFUSED, "no", "because")
        assert (error.remedy, error.field) == ("do", "user")

    run(scenario)


def test_bad_messages_end_the_session() -> None:
    async def scenario(b: Bench) -> None:
        call, command = await b.started()
        await call.write(Input(signal=1000))
        assert (await ending(call)).code is Code.INVALID
        await b.until(lambda: command.closed)
        first = exec_pb2_grpc.ExecStub(b.channel).Run()
        await first.write(Input(stdin=b"x"))
        assert (await ending(first)).code is Code.INVALID
        empty = exec_pb2_grpc.ExecStub(b.channel).Run()
        await empty.done_writing()
        assert (await ending(empty)).code is Code.INVALID

    run(scenario)


def test_a_node_attaches_to_nothing_that_it_was_not_asked_for() -> None:
    async def scenario(b: Bench) -> None:
        await b.stop_agent()
        waiting = await b.run("t2")
        await b.until(b.commands.exchange.sessions)
        session = b.commands.exchange.sessions()[0]
        for session_id, code in ((session.id, Code.DENIED), ("none", Code.NOT_FOUND)):
            call = exec_pb2_grpc.ExecBrokerStub(b.channel).Attach()
            await call.write(exec_pb2.ExecAnswer(session_id=session_id))
            assert (await ending(call)).code is code
        waiting.cancel()

    run(scenario)


def test_many_sessions_at_a_time() -> None:
    async def scenario(b: Bench) -> None:
        async def one(number: int) -> int:
            call = await b.run(stdin=True)
            assert (await read(call)).started
            await call.write(Input(stdin=bytes([number])))
            assert (await read(call)).stdout == bytes([number])
            await call.write(Input(end_of_stdin=True))
            code: int = (await read(call)).exit_code
            return code

        assert await asyncio.gather(*map(one, range(1, 31))) == list(range(1, 31))

    run(scenario)
