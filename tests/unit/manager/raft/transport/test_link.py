"""Two streams and their channel, at moments that a real server cannot be made to hit."""

import asyncio
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import RaftGreeting
from manager.raft.transport.delivery import Deliveries
from manager.raft.transport.link import Link
from manager.raft.transport.outbox import Outbox


class BrokenChannel:
    """Its first stream breaks when it is told to; the others hang."""

    def __init__(self) -> None:
        self.broken = asyncio.Event()
        self.closed = False
        self._streams = 0

    def stream_unary(self, *_: object, **__: object) -> Any:
        self._streams += 1
        first = self._streams == 1

        class Stream:
            async def write(_self, __: bytes) -> None:
                await (self.broken.wait() if first else asyncio.Event().wait())
                raise SwarmError(Code.UNAVAILABLE, "broken")

            def cancel(_self) -> None:
                pass

        return Stream

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("turns", range(6))
def test_a_cancellation_beside_a_broken_stream_is_obeyed(turns: int) -> None:
    """However many turns of the loop after the stream broke it comes."""

    async def scenario() -> None:
        channel = BrokenChannel()
        outboxes = [Outbox(messages=5, size=1000) for _ in range(2)]
        deliveries = Deliveries(2, None, None)  # type: ignore[arg-type]
        link = Link(channel, RaftGreeting(), outboxes, deliveries)  # type: ignore[arg-type]
        running = asyncio.create_task(link.run(lambda: None))
        await asyncio.sleep(0.01)
        channel.broken.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        ended_before = running.done()
        running.cancel()
        await asyncio.wait({running}, timeout=10)
        assert running.cancelled() or ended_before
        if ended_before:
            assert isinstance(running.exception(), SwarmError)
        assert channel.closed

    asyncio.run(scenario())
