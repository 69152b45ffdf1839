"""Streams of events: they begin at once, follow, end in time, and are not too many."""

import asyncio
from contextlib import aclosing

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import events_pb2
from api.v1.objects_pb2 import Operator
from manager.control import events
from manager.control.events import MAX_READERS, EventStreams
from manager.events.history import History
from manager.state.changes import batch, create
from manager.state.store import Store

Request = events_pb2.EventsRequest


class Scene:
    """A manager's store and history; `now` stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.store, self.history, self.now = Store(), History(), 100.0
        self.in_touch = True
        self.streams = EventStreams(
            self.history, self.store, lambda: self.now, lambda: self.in_touch
        )

    def write(self, *names: str) -> None:
        index = self.store.version + 1
        batches = [batch(create(Operator(id=name, name=name))) for name in names]
        applied = self.store.apply(index, timestamp(self.now), batches)
        self.history.applied(index, timestamp(self.now), applied.events)
        self.history.settle()


def test_a_stream_says_at_once_that_it_has_begun_and_follows() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.write("a")
        async with aclosing(scene.streams.stream(Request(), trusted=True)) as messages:
            first = await anext(messages)
            assert (first.position.index, list(first.events)) == (1, [])
            waiting = asyncio.create_task(anext(messages))
            await asyncio.sleep(0)
            scene.write("b")
            assert [event.id for event in (await waiting).events] == ["b"]

    asyncio.run(scenario())


def test_a_stream_ends_when_its_time_has_come() -> None:
    async def scenario() -> None:
        scene = Scene()
        scene.write("a")
        request = Request(since=timestamp(1), until=timestamp(100.01))
        messages = scene.streams.stream(request, trusted=True)
        assert not (await anext(messages)).events
        assert len((await anext(messages)).events) == 1
        ending = asyncio.create_task(anext(messages, None))
        await asyncio.sleep(0)
        assert not ending.done()
        scene.now = 101.0
        assert await ending is None

    asyncio.run(scenario())


def test_a_manager_that_is_cut_off_lets_its_readers_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.0)

    async def scenario() -> None:
        scene = Scene()
        messages = scene.streams.stream(Request(), trusted=True)
        stale = scene.streams.stream(Request(), trusted=True, stale=True)
        await anext(messages)
        await anext(stale)
        waiting = [asyncio.create_task(anext(each)) for each in (messages, stale)]
        for _ in range(9):
            await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        scene.in_touch = False
        with pytest.raises(SwarmError, match="does not hear what happens") as refused:
            await waiting[0]
        assert refused.value.code is Code.UNAVAILABLE
        scene.write("a")
        assert [event.id for event in (await waiting[1]).events] == ["a"]
        await stale.aclose()

    asyncio.run(scenario())


def test_much_comes_in_many_messages() -> None:
    async def scenario() -> None:
        scene = Scene()
        for number in range(3):
            scene.write(*(f"{number}.{n}" for n in range(400)))
        request = Request(until=timestamp(100.0))
        counts = [len(m.events) async for m in scene.streams.stream(request, trusted=True)]
        assert counts == [0, 500, 500, 200]

    asyncio.run(scenario())


def test_so_many_readers_are_served_and_no_more() -> None:
    async def scenario() -> None:
        scene = Scene()
        streams = [scene.streams.stream(Request(), trusted=True) for _ in range(MAX_READERS)]
        for each in streams:
            await anext(each)
        with pytest.raises(SwarmError, match="serves 64 streams") as refused:
            await anext(scene.streams.stream(Request(), trusted=True))
        assert refused.value.code is Code.EXHAUSTED
        await streams[0].aclose()
        last = scene.streams.stream(Request(), trusted=True)
        await anext(last)
        for each in (last, *streams[1:]):
            await each.aclose()

    asyncio.run(scenario())


def test_a_refused_reader_takes_nobodys_place() -> None:
    async def scenario() -> None:
        scene = Scene()
        request = Request(filters=[events_pb2.EventFilter(key="colour", values=["red"])])
        for _ in range(MAX_READERS + 1):
            with pytest.raises(SwarmError, match="colour"):
                await anext(scene.streams.stream(request, trusted=True))

    asyncio.run(scenario())
