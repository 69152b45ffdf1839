"""Who is refused while he speaks hears the refusal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest

from api.channel import unix_channel
from api.conversation import conversation

METHOD = "/test/Talk"
ROUNDS = 200


class Talk(grpc.GenericRpcHandler):
    """Answers what it hears, after `answers` of which it refuses to go on."""

    def __init__(self, answers: int) -> None:
        self._answers = answers

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def talk(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            left = self._answers
            if left:
                async for request in requests:
                    yield request
                    left -= 1
                    if not left:
                        break
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "enough")

        return grpc.stream_stream_rpc_method_handler(talk)


async def _flood(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%d" % number
        await asyncio.sleep(0)


async def _hear(call: Any, requests: AsyncIterator[bytes], heard: list[bytes]) -> None:
    async with aclosing(conversation(call, requests)) as messages:
        async for message in messages:
            heard.append(message)


@pytest.mark.parametrize("answers", [0, 3])
def test_a_refusal_is_heard_however_much_is_being_said(tmp_path: Path, answers: int) -> None:
    async def scenario() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Talk(answers),))
        server.add_insecure_port(f"unix:{tmp_path}/s")
        await server.start()
        async with unix_channel(tmp_path / "s") as channel:
            for _ in range(ROUNDS):
                call: Any = channel.stream_stream(METHOD)()
                heard: list[bytes] = []
                with pytest.raises(grpc.aio.AioRpcError) as refusal:
                    await _hear(call, _flood(50), heard)
                assert refusal.value.details() == "enough"
                assert heard == [b"%d" % number for number in range(answers)]
        await server.stop(None)

    asyncio.run(scenario())


def test_requests_that_break_off_end_the_call(tmp_path: Path) -> None:
    heard, ended = asyncio.Event(), asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        await heard.wait()
        raise OSError("torn")

    class Listens(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            async def talk(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
                try:
                    async for request in requests:
                        heard.set()
                        yield request
                finally:
                    ended.set()

            return grpc.stream_stream_rpc_method_handler(talk)

    async def scenario() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Listens(),))
        server.add_insecure_port(f"unix:{tmp_path}/s")
        await server.start()
        async with unix_channel(tmp_path / "s") as channel:
            call: Any = channel.stream_stream(METHOD)()
            with pytest.raises(asyncio.CancelledError):
                await _hear(call, broken(), [])
            async with asyncio.timeout(20):
                await ended.wait()
        await server.stop(None)

    asyncio.run(scenario())
