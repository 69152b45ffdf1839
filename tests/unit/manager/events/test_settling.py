"""What was noted is told soon, in pieces, and a defect in that ends nobody."""

import asyncio
import logging

import pytest

from api.times import timestamp
from api.v1.objects_pb2 import Operator
from manager.events.history import PIECE, START, History
from manager.events.settling import Settling
from manager.state.changes import Event
from tests.support.until import until


def note(history: History, index: int) -> None:
    history.applied(index, timestamp(1.0), [Event(None, Operator(id=f"{index}"))])


def test_all_that_was_noted_is_told() -> None:
    async def scenario() -> None:
        history = History()
        note(history, 1)
        running = asyncio.create_task(Settling(history).run())
        await until(lambda: history.end.index == 1)
        for count in (1, PIECE * 2 + 1):
            for index in range(history.end.index + 1, history.end.index + count + 1):
                note(history, index)
            await until(lambda: history.end.index == index)  # noqa: B023 - called at once
        assert len(history.after(START, 9999)) == index
        running.cancel()

    asyncio.run(scenario())


def test_what_cannot_be_told_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        history = History()
        running = asyncio.create_task(Settling(history).run())
        history.applied(1, timestamp(1.0), [Event(None, None)])
        note(history, 2)
        await until(lambda: history.end.index == 2)
        assert [each.happening.id for each in history.after(START, 9)] == ["2"]
        running.cancel()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert "an event could not be told" in caplog.text
