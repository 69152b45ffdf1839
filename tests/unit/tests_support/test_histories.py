"""Clients that write down what they saw, with real services behind a server that loses answers."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from api.errors import Code, SwarmError
from api.new_ids import new_id
from api.serving import Context, ErrorInterceptor
from api.v1 import control_pb2, objects_pb2
from manager.control.resolve import resolve
from manager.control.services import Services
from manager.state.store import Store
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.histories import Patience, RegisterClient, Workload, is_progress
from tests.support.linearizability.explain import explain
from tests.support.linearizability.history import Kind, Operation, Outcome

T = TypeVar("T")
Script = Callable[["Server", RegisterClient], Awaitable[None]]

REQUESTS: dict[str, Any] = {
    "CreateService": control_pb2.CreateServiceRequest,
    "UpdateService": control_pb2.UpdateServiceRequest,
    "RemoveService": control_pb2.RemoveRequest,
    "GetService": control_pb2.GetRequest,
}
EAGER = Patience(tries=3, deadline=20, pause=0)


class Server:
    """What registers need of the control API.

    `losses`: what happens to the next calls: lost "before" or "after" their effect.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.services = Services(
            self.store, DirectProposer(self.store, lambda: 1.0), counter(), lambda: 1.0
        )
        self.losses: list[str] = []
        self.dice: random.Random | None = None
        self.forgets_requests = False
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """What others do once, between an effect whose answer is lost and the next try."""
        self.request_ids: list[str] = []

    async def CreateService(
        self, request: control_pb2.CreateServiceRequest, context: Context
    ) -> objects_pb2.Service:
        self._meet(request)
        return await self._lossy(lambda: self.services.create(request))

    async def UpdateService(
        self, request: control_pb2.UpdateServiceRequest, context: Context
    ) -> objects_pb2.Service:
        self._meet(request)
        return await self._lossy(lambda: self.services.update(request))

    async def RemoveService(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        self._meet(request)
        return await self._lossy(lambda: self.services.remove(request))

    async def GetService(
        self, request: control_pb2.GetRequest, context: Context
    ) -> objects_pb2.Service:
        async def look() -> objects_pb2.Service:
            return resolve(self.store, objects_pb2.Service, request.key)

        return await self._lossy(look)

    def _meet(
        self,
        request: control_pb2.CreateServiceRequest
        | control_pb2.UpdateServiceRequest
        | control_pb2.RemoveRequest,
    ) -> None:
        self.request_ids.append(request.request_id)
        if self.forgets_requests:
            request.request_id = new_id()

    async def _lossy(self, work: Callable[[], Awaitable[T]]) -> T:
        loss = self.losses.pop(0) if self.losses else ""
        if self.dice is not None:
            loss = self.dice.choice(("", "", "", "before", "after"))
            await asyncio.sleep(self.dice.choice((0, 0, 0.001)))
        if loss == "before":
            raise SwarmError(Code.UNAVAILABLE, "lost")
        answer = await work()
        if loss == "after":
            others, self.meanwhile = self.meanwhile, None
            if others is not None:
                await others()
            raise SwarmError(Code.UNAVAILABLE, "lost")
        return answer


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Server, str]]:
    server, socket = Server(), f"unix:{folder}/control"
    listening = grpc.aio.server(interceptors=[ErrorInterceptor()])
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(server, name), kind.FromString, lambda answer: answer.SerializeToString()
        )
        for name, kind in REQUESTS.items()
    }
    listening.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("swarm.v1.Control", handlers),)
    )
    listening.add_insecure_port(socket)
    await listening.start()
    try:
        yield server, socket
    finally:
        await listening.stop(None)


def seen(folder: Path, script: Script) -> tuple[Server, list[Operation]]:
    """The server, and what a client recorded that did as the script says."""
    history: list[Operation] = []

    async def run() -> Server:
        async with (
            served(folder) as (server, socket),
            RegisterClient("c", [socket], history.append, EAGER) as client,
        ):
            await script(server, client)
            return server

    return asyncio.run(run()), history


def told(history: list[Operation]) -> list[tuple[Kind, Outcome, str, int | None]]:
    return [(each.kind, each.outcome, each.value, each.version) for each in history]


def test_each_operation_is_recorded_with_its_answer(tmp_path: Path) -> None:
    async def script(server: Server, client: RegisterClient) -> None:
        assert await client.read("k") is None
        assert await client.create("k", "a") == 1
        assert await client.create("k", "b") is None
        assert await client.update("k", "c", 1) == 3
        assert await client.update("k", "d", 1) is None
        assert await client.read("k") == 3
        await client.delete("k")
        await client.delete("k")

    _, history = seen(tmp_path, script)
    assert told(history) == [
        (Kind.READ, Outcome.ABSENT, "", None),
        (Kind.CREATE, Outcome.DONE, "a", 1),
        (Kind.CREATE, Outcome.EXISTS, "b", None),
        (Kind.UPDATE, Outcome.DONE, "c", 3),
        (Kind.UPDATE, Outcome.STALE, "d", None),
        (Kind.READ, Outcome.DONE, "c", 3),
        (Kind.DELETE, Outcome.DONE, "", None),
        (Kind.DELETE, Outcome.ABSENT, "", None),
    ]
    assert explain(history) == ""
    assert sum(map(is_progress, history)) == 3


@pytest.mark.parametrize("loss", ["before", "after"])
def test_a_call_that_is_tried_again_is_one_request_and_one_operation(
    tmp_path: Path, loss: str
) -> None:
    async def script(server: Server, client: RegisterClient) -> None:
        server.losses = [loss, loss]
        await client.create("k", "a")

    server, history = seen(tmp_path, script)
    assert len(server.request_ids) == 3
    assert len(set(server.request_ids)) == 1
    assert told(history) == [(Kind.CREATE, Outcome.DONE, "a", 1)]


def test_what_was_never_answered_is_of_unknown_outcome_and_a_read_of_none(tmp_path: Path) -> None:
    async def script(server: Server, client: RegisterClient) -> None:
        server.losses = ["after"] * 6
        await client.create("k", "a")
        await client.read("k")

    _, history = seen(tmp_path, script)
    assert told(history) == [(Kind.CREATE, Outcome.UNKNOWN, "a", None)]


def test_a_refusal_of_a_second_try_says_nothing_of_the_first(tmp_path: Path) -> None:
    async def script(server: Server, client: RegisterClient) -> None:
        await client.create("k", "a")
        server.losses = ["before"]
        await client.create("k", "b")

    _, history = seen(tmp_path, script)
    assert told(history)[1:] == [
        (Kind.CREATE, Outcome.EXISTS, "b", None),
        (Kind.CREATE, Outcome.UNKNOWN, "b", None),
    ]


def test_an_update_that_finds_nothing_is_a_read_of_nothing(tmp_path: Path) -> None:
    async def script(server: Server, client: RegisterClient) -> None:
        await client.update("k", "b", 7)

    _, history = seen(tmp_path, script)
    assert told(history) == [
        (Kind.READ, Outcome.ABSENT, "", None),
        (Kind.UPDATE, Outcome.UNKNOWN, "b", None),
    ]


def workload(folder: Path) -> list[Operation]:
    """What five clients saw of a server that loses two of five calls or answers."""
    history: list[Operation] = []

    async def run() -> None:
        async with served(folder) as (server, socket):
            server.dice = random.Random(1)
            load = Workload(random.Random(2), keys=3, lifetime=100, pause=0)
            clients = [RegisterClient(f"c{n}", [socket], history.append, EAGER) for n in range(5)]
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(load.run(client))
                while len(history) < 800:  # noqa: ASYNC110 - clients tell of nothing
                    await asyncio.sleep(0.01)
                load.stopping.set()
            for client in clients:
                await client.__aexit__()

    asyncio.run(run())
    return history


def test_lost_answers_leave_a_good_history(tmp_path: Path) -> None:
    history = workload(tmp_path)
    assert explain(history) == ""
    outcomes = Counter((each.kind, each.outcome) for each in history)
    assert len(outcomes) >= 9, f"all that can be answered came about: {outcomes}"


@pytest.mark.parametrize("forgets", [True, False])
def test_a_server_that_forgets_requests_is_found_out(tmp_path: Path, forgets: bool) -> None:
    """It makes what was asked for once, and is deleted meanwhile, a second time."""
    history: list[Operation] = []

    async def run() -> None:
        async with (
            served(tmp_path) as (server, socket),
            RegisterClient("a", [socket], history.append, EAGER) as one,
            RegisterClient("b", [socket], history.append, EAGER) as other,
        ):
            server.forgets_requests = forgets
            server.losses = ["after"]
            server.meanwhile = lambda: other.delete("k")
            await one.create("k", "v")
            await other.read("k")

    asyncio.run(run())
    assert (explain(history) != "") == forgets
