"""One stream to one member, at moments that a real server cannot be made to hit."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from manager.raft.transport import lane as lane_module
from manager.raft.transport.lane import Lane
from manager.raft.transport.outbox import Outbox
from manager.raft.transport.receiver import CONSENT


class FrozenMember:
    """The channel to a member that lets streams in when it is told to, and never ends one."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.consent: asyncio.Future[tuple[Any, ...]] = loop.create_future()
        self._end: asyncio.Future[object] = loop.create_future()

    def stream_unary(self, *_: object, **__: object) -> Callable[[], "FrozenMember"]:
        return lambda: self

    async def write(self, _: bytes) -> None:
        pass

    async def done_writing(self) -> None:
        pass

    async def initial_metadata(self) -> tuple[Any, ...]:
        return await self.consent

    def add_done_callback(self, _: object) -> None:
        pass

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    def __await__(self) -> Generator[Any, None, object]:
        return self._end.__await__()


@pytest.mark.parametrize("consent_first", [True, False])
def test_an_end_in_the_moment_of_the_consent_has_its_limit(
    monkeypatch: pytest.MonkeyPatch, consent_first: bool
) -> None:
    async def scenario() -> None:
        member = FrozenMember()
        lane = Lane(Outbox(messages=5, size=1000))
        running = asyncio.create_task(lane.run(member, b"", lambda: None))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        if consent_first:
            member.consent.set_result((CONSENT,))
        lane.finish(drain=True)
        if not consent_first:
            member.consent.set_result((CONSENT,))
        await asyncio.wait({running}, timeout=10)
        assert running.done()
        await asyncio.gather(running, return_exceptions=True)

    monkeypatch.setattr(lane_module, "ENDING_LIMIT", 0.05)
    asyncio.run(scenario())
