import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import unix_channel
from api.errors import Code, SwarmError
from api.serving import Caller, caller, set_caller
from api.status import from_grpc
from api.v1 import control_pb2, control_pb2_grpc, host_pb2, host_pb2_grpc, objects_pb2
from tests.support.trust import add_handlers, serving

REFUSAL = SwarmError(
    Code.CONFLICT, "it was changed", why="by somebody", remedy="read it again", field="version"
)
Service = tuple[str, dict[str, Any]]


def control(get_service: Any = None, watch: Any = None) -> Service:
    """The Control service with two of its RPCs."""
    handlers = {
        "GetService": grpc.unary_unary_rpc_method_handler(
            get_service,
            control_pb2.GetRequest.FromString,
            objects_pb2.Service.SerializeToString,
        ),
        "Watch": grpc.unary_stream_rpc_method_handler(
            watch,
            control_pb2.WatchRequest.FromString,
            control_pb2.WatchMessage.SerializeToString,
        ),
    }
    return "swarm.v1.Control", handlers


def failing(error: BaseException) -> Service:
    """Fails as it is told, the stream after one message."""

    async def get_service(request: object, context: object) -> None:
        raise error

    async def watch(request: object, context: object) -> AsyncIterator[control_pb2.WatchMessage]:
        yield control_pb2.WatchMessage(version=1)
        raise error

    return control(get_service, watch)


async def failing_unary(channel: grpc.aio.Channel) -> None:
    await control_pb2_grpc.ControlStub(channel).GetService(control_pb2.GetRequest(), timeout=10)


async def failing_stream(channel: grpc.aio.Channel) -> None:
    call = control_pb2_grpc.ControlStub(channel).Watch(control_pb2.WatchRequest(), timeout=10)
    seen = []
    try:
        async for message in call:
            seen.append(message.version)
    finally:
        assert seen == [1]


def run_on(
    tmp_path: Path, service: Service, call: Callable[[grpc.aio.Channel], Awaitable[None]]
) -> None:
    """Runs `call` against a server with this service."""

    async def run() -> None:
        path = tmp_path / "s"
        async with (
            serving(add_handlers, service, address=f"unix:{path}"),
            unix_channel(path) as channel,
        ):
            await call(channel)

    asyncio.run(run())


def error_of(
    tmp_path: Path, service: Service, call: Callable[[grpc.aio.Channel], Awaitable[None]]
) -> SwarmError:
    """The error that `call` ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        run_on(tmp_path, service, call)
    return from_grpc(caught.value, "asking")


@pytest.mark.parametrize("call", [failing_unary, failing_stream])
def test_a_refusal_arrives_with_all_its_detail(tmp_path: Path, call: Any) -> None:
    arrived = error_of(tmp_path, failing(REFUSAL), call)
    assert vars(arrived) == vars(REFUSAL)


@pytest.mark.parametrize("call", [failing_unary, failing_stream])
def test_a_defect_is_logged_and_answered_without_its_text(
    tmp_path: Path, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    arrived = error_of(tmp_path, failing(KeyError("the secret")), call)
    assert arrived.code is Code.INTERNAL
    assert "the secret" not in str(arrived)
    ours = (r for r in caplog.records if r.name == "api.serving")
    record = next(r for r in ours if r.levelno == logging.ERROR)
    assert record.getMessage().rpartition(" ")[2] in arrived.why
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


def test_a_failed_call_to_another_node_is_passed_on(tmp_path: Path) -> None:
    nothing = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "no leader")
    arrived = error_of(tmp_path, failing(error), failing_unary)
    assert (arrived.code, arrived.why) == (Code.UNAVAILABLE, "no leader")


def test_a_handler_that_aborts_by_itself_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def get_service(request: object, context: Any) -> None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    arrived = error_of(tmp_path, control(get_service), failing_unary)
    assert (arrived.code, arrived.why) == (Code.NOT_FOUND, "gone")
    assert not [r for r in caplog.records if r.name == "api.serving"]


def test_an_rpc_that_is_not_served_is_unsupported(tmp_path: Path) -> None:
    service: Service = ("swarm.v1.Host", {})
    assert error_of(tmp_path, service, failing_unary).code is Code.UNSUPPORTED


def test_a_client_that_goes_away_ends_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def watch(request: object, context: object) -> AsyncIterator[control_pb2.WatchMessage]:
        try:
            yield control_pb2.WatchMessage(version=1)
            await asyncio.Event().wait()
        finally:
            ended.append("ended")
            finished.set()

    async def call(channel: grpc.aio.Channel) -> None:
        stream = control_pb2_grpc.ControlStub(channel).Watch(control_pb2.WatchRequest())
        async for _ in stream:
            break
        stream.cancel()
        await asyncio.wait_for(finished.wait(), 10)

    finished = asyncio.Event()
    run_on(tmp_path, control(watch=watch), call)
    assert ended == ["ended"]
    assert not [r for r in caplog.records if r.name == "api.serving"]


def test_streams_from_the_client_are_guarded_too(tmp_path: Path) -> None:
    async def load(requests: AsyncIterator[host_pb2.LoadImageRequest], context: object) -> None:
        chunks = [request.chunk async for request in requests]
        raise SwarmError(Code.INVALID, f"{len(chunks)} chunks make no archive")

    handler: Any = grpc.stream_unary_rpc_method_handler(
        load,
        host_pb2.LoadImageRequest.FromString,
        host_pb2.LoadImageResponse.SerializeToString,
    )

    async def call(channel: grpc.aio.Channel) -> None:
        chunks = (host_pb2.LoadImageRequest(chunk=b"x") for _ in range(3))
        await host_pb2_grpc.HostStub(channel).LoadImage(chunks, timeout=10)

    arrived = error_of(tmp_path, ("swarm.v1.Host", {"LoadImage": handler}), call)
    assert (arrived.code, arrived.what) == (Code.INVALID, "3 chunks make no archive")


def test_both_sides_may_stream(tmp_path: Path) -> None:
    async def echo(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
        raise REFUSAL

    handler = grpc.stream_stream_rpc_method_handler(echo)  # type: ignore[var-annotated]

    async def call(channel: grpc.aio.Channel) -> None:
        seen: list[bytes] = []
        stream: Any = channel.stream_stream("/swarm.v1.Echo/Echo")
        try:
            async for message in stream(iter([b"a", b"b"]), timeout=10):
                seen.append(message)
        finally:
            assert seen == [b"a", b"b"]

    arrived = error_of(tmp_path, ("swarm.v1.Echo", {"Echo": handler}), call)
    assert vars(arrived) == vars(REFUSAL)


def test_a_handler_may_write_instead_of_yield(tmp_path: Path) -> None:
    async def watch(request: object, context: Any) -> None:
        await context.write(control_pb2.WatchMessage(version=1))
        raise REFUSAL

    arrived = error_of(tmp_path, control(watch=watch), failing_stream)
    assert vars(arrived) == vars(REFUSAL)


def test_each_task_has_its_own_caller() -> None:
    async def serve(name: str) -> str:
        set_caller(Caller("worker", name, "c", "tls"))
        await asyncio.sleep(0)
        return caller().id

    async def run() -> list[str]:
        return list(await asyncio.gather(serve("a"), serve("b")))

    assert asyncio.run(run()) == ["a", "b"]
    with pytest.raises(SwarmError) as caught:
        caller()
    assert caught.value.code is Code.UNAUTHENTICATED
