"""The switch: cluster calls on the local socket go to this process, to a manager, or get advice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import socket_target, unix_channel
from api.collector import Collector
from api.errors import Code, SwarmError
from api.serving import ErrorInterceptor
from api.status import from_grpc
from api.v1 import control_pb2, control_pb2_grpc, exec_pb2, exec_pb2_grpc, objects_pb2
from swarmctl.relay import Relay
from swarmctl.switch import Switch
from tests.support.elapsing import elapse

Get = control_pb2.GetRequest
LIMIT = 20.0


class Control(control_pb2_grpc.ControlServicer):
    """Knows one service and watches three messages."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def GetService(self, request: Get, context: Any) -> objects_pb2.Service:
        if request.key != "web":
            raise SwarmError(Code.NOT_FOUND, "no such service", remedy="look again")
        return objects_pb2.Service(id=self.name)

    async def Watch(
        self, request: control_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[control_pb2.WatchMessage]:
        for version in (1, 2, 3):
            yield control_pb2.WatchMessage(version=version)


class Exec(exec_pb2_grpc.ExecServicer):
    """Says everything back."""

    async def Run(self, requests: Any, context: Any) -> AsyncIterator[exec_pb2.ExecOutput]:
        async for request in requests:
            if request.signal:
                raise SwarmError(Code.DENIED, "not for workers", remedy="go away")
            yield exec_pb2.ExecOutput(stdout=request.stdin)


def control(name: str) -> control_pb2_grpc.ControlServicer:
    return Control(name)  # type: ignore[abstract]


@asynccontextmanager
async def socket(path: Path, switch: Switch | None = None) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    if switch is None:
        control_pb2_grpc.add_ControlServicer_to_server(control("remote"), server)
        exec_pb2_grpc.add_ExecServicer_to_server(Exec(), server)
    else:
        server.add_generic_rpc_handlers((switch,))
    server.add_insecure_port(socket_target(path))
    await server.start()
    try:
        async with unix_channel(path) as channel:
            yield channel
    finally:
        await server.stop(None)


async def asked(channel: grpc.aio.Channel, key: str = "web") -> str | SwarmError:
    """The id that GetService answers, or its error."""
    stub = control_pb2_grpc.ControlStub(channel)
    try:
        found = await stub.GetService(Get(key=key), timeout=10)
    except grpc.aio.AioRpcError as error:
        return from_grpc(error, "asking")
    return found.id


async def watched(channel: grpc.aio.Channel) -> list[int]:
    stub = control_pb2_grpc.ControlStub(channel)
    messages = stub.Watch(control_pb2.WatchRequest(), timeout=10)
    return [message.version async for message in messages]


def error_of(answer: str | SwarmError) -> SwarmError:
    assert isinstance(answer, SwarmError)
    return answer


def test_a_node_in_no_swarm_says_what_to_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with socket(tmp_path / "s", Switch()) as channel:
            error = error_of(await asked(channel))
            assert error.code is Code.REFUSED
            assert "swarm init" in error.remedy

    asyncio.run(scenario())


def test_a_refusal_may_say_something_else_until_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        switch = Switch()
        async with socket(tmp_path / "s", switch) as channel:
            switch.refuse(lambda: SwarmError(Code.DENIED, "locked"))
            for _ in range(2):
                assert error_of(await asked(channel)).what == "locked"
            switch.refuse()
            assert error_of(await asked(channel)).code is Code.REFUSED

    asyncio.run(scenario())


def test_a_manager_serves_in_its_own_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        switch, collector = Switch(), Collector()
        control_pb2_grpc.add_ControlServicer_to_server(control("local"), collector)  # type: ignore[arg-type]
        switch.serve_locally(collector.handlers)
        async with socket(tmp_path / "s", switch) as channel:
            assert await asked(channel) == "local"
            assert await watched(channel) == [1, 2, 3]

    asyncio.run(scenario())


def test_a_worker_passes_calls_on_and_errors_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        switch = Switch()
        async with (
            socket(tmp_path / "manager") as manager,
            socket(tmp_path / "s", switch) as channel,
        ):
            switch.pass_on(Relay(lambda: ["m"], lambda _: manager))
            assert await asked(channel) == "remote"
            assert await watched(channel) == [1, 2, 3]
            error = error_of(await asked(channel, "gone"))
            assert (error.code, error.what, error.remedy) == (
                Code.NOT_FOUND,
                "no such service",
                "look again",
            )

    asyncio.run(scenario())


def test_a_worker_passes_conversations_on_past_a_manager_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmctl.relay.READY_LIMIT", LIMIT)

    async def scenario() -> None:
        def connect(name: str) -> grpc.aio.Channel:
            if name == "away":
                asyncio.get_running_loop().call_soon(elapse, LIMIT)  # once it is waited for
            return unix_channel(tmp_path / name)

        switch = Switch()
        relay = Relay(lambda: ["away", "manager"], connect)
        async with socket(tmp_path / "manager"), socket(tmp_path / "s", switch) as channel:
            switch.pass_on(relay)
            call = exec_pb2_grpc.ExecStub(channel).Run()
            for text in (b"one", b"two"):
                await call.write(exec_pb2.ExecInput(stdin=text))
                assert (await call.read()).stdout == text  # type: ignore[attr-defined]
            await call.write(exec_pb2.ExecInput(signal=1))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
            error = from_grpc(refused.value, "it")
            assert (error.code, error.remedy) == (Code.DENIED, "go away")
            nobody = Relay(lambda: ["away"], connect)
            switch.pass_on(nobody)
            lonely = exec_pb2_grpc.ExecStub(channel).Run()
            with pytest.raises(grpc.aio.AioRpcError) as lost:
                await lonely.read()
            assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
            await nobody.close()
            await relay.close()

    asyncio.run(scenario())


def test_what_the_switch_says_changes_while_the_server_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        switch, collector = Switch(), Collector()
        control_pb2_grpc.add_ControlServicer_to_server(control("local"), collector)  # type: ignore[arg-type]
        async with socket(tmp_path / "s", switch) as channel:
            switch.serve_locally(collector.handlers)
            assert await asked(channel) == "local"
            switch.refuse()
            assert error_of(await asked(channel)).code is Code.REFUSED

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["/swarm.v1.Dispatcher/Heartbeat", "/swarm.v1.Ca/Issue"])
def test_only_cluster_calls_are_passed_on(tmp_path: Path, method: str) -> None:
    async def scenario() -> None:
        switch = Switch()
        async with (
            socket(tmp_path / "manager") as manager,
            socket(tmp_path / "s", switch) as channel,
        ):
            switch.pass_on(Relay(lambda: ["m"], lambda _: manager))
            call: Any = channel.unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"", timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(scenario())
