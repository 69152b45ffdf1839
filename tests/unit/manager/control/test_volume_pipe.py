"""The way of an archive through a manager: order, ends, and what waits."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from manager.control import volume_pipe
from manager.control.volume_pipe import LARGEST_PIECE, WAITING, Pipe


async def all_of(pipe: Pipe) -> list[bytes]:
    return [piece async for piece in pipe.pieces()]


def test_all_pieces_come_in_order_and_then_the_end() -> None:
    async def scenario() -> None:
        pipe = Pipe("the data")
        for number in range(3):
            await pipe.put(b"%d" % number)
        pipe.end()
        assert await all_of(pipe) == [b"0", b"1", b"2"]

    asyncio.run(scenario())


def test_who_sends_is_held_back_until_something_is_taken() -> None:
    async def scenario() -> None:
        pipe = Pipe("the data")
        for _ in range(WAITING):
            await pipe.put(b"x")
        putting = asyncio.create_task(pipe.put(b"y"))
        await asyncio.sleep(0)
        assert not putting.done()
        pieces = pipe.pieces()
        await anext(pieces)
        await putting
        pipe.end()
        assert len([piece async for piece in pieces]) == WAITING

    asyncio.run(scenario())


@pytest.mark.parametrize("is_full", [False, True])
def test_an_error_reaches_both_sides(is_full: bool) -> None:
    async def scenario() -> None:
        pipe = Pipe("the data")
        for _ in range(WAITING if is_full else 0):
            await pipe.put(b"x")
        putting = asyncio.create_task(pipe.put(b"y")) if is_full else None
        pipe.end(SwarmError(Code.UNAVAILABLE, "it broke"))
        pipe.end()
        with pytest.raises(SwarmError, match="it broke"):
            await all_of(pipe)
        with pytest.raises(SwarmError, match="it broke"):
            await (putting or pipe.put(b"z"))

    asyncio.run(scenario())


def test_what_falls_silent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_pipe, "SILENCE", 0.0)

    async def scenario() -> None:
        with pytest.raises(SwarmError) as caught:
            _ = [piece async for piece in Pipe("the data").pieces(0.0)]
        assert caught.value.code is Code.DEADLINE
        pipe = Pipe("the data")
        for _ in range(WAITING):
            await pipe.put(b"x")
        monkeypatch.setattr(volume_pipe, "STALLED", 0.0)
        with pytest.raises(SwarmError) as caught:
            await pipe.put(b"x")
        assert caught.value.code is Code.DEADLINE

    asyncio.run(scenario())


def test_a_piece_has_its_size() -> None:
    async def scenario() -> None:
        with pytest.raises(SwarmError) as caught:
            await Pipe("the data").put(bytes(LARGEST_PIECE + 1))
        assert caught.value.code is Code.INVALID

    asyncio.run(scenario())
