"""Ends of pipes and terminals: as much as there is, as much as there is room for."""

import asyncio
import os
import pty
import tty
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.descriptor import Descriptor

LIMIT = 20.0


def run(scenario: Callable[[Descriptor, Descriptor], Awaitable[None]]) -> None:
    """A scenario with the reading and the writing end of a pipe."""

    async def all_of_it() -> None:
        read, write = map(Descriptor, os.pipe())
        try:
            async with asyncio.timeout(LIMIT):
                await scenario(read, write)
        finally:
            read.close()
            write.close()

    asyncio.run(all_of_it())


async def read_all(source: Descriptor) -> bytes:
    found = b""
    while piece := await next_piece(source):
        found += piece
    return found


async def next_piece(source: Descriptor) -> bytes:
    while (piece := source.take(1000)) is None:
        await source.wait()
    return piece


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200_000), max_size=5))
def test_everything_comes_in_order(pieces: list[bytes]) -> None:
    async def scenario(read: Descriptor, write: Descriptor) -> None:
        reading = asyncio.create_task(read_all(read))
        for piece in pieces:
            assert await write.write(piece)
        write.close()
        assert await reading == b"".join(pieces)

    run(scenario)


def test_a_writer_waits_for_its_reader() -> None:
    async def scenario(read: Descriptor, write: Descriptor) -> None:
        writing = asyncio.create_task(write.write(b"x" * 1_000_000))
        await asyncio.wait({writing}, timeout=0.05)
        assert not writing.done()
        assert len(await next_piece(read)) == 1000
        rest = asyncio.create_task(read_all(read))
        assert await writing
        write.close()
        assert len(await rest) == 999_000

    run(scenario)


def test_nothing_yet_is_not_the_end() -> None:
    async def scenario(read: Descriptor, write: Descriptor) -> None:
        assert read.take(10) is None
        assert not await read.wait(timeout=0.01)
        over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        over.set_result(0)
        assert not await read.wait(over)
        await write.write(b"a")
        assert await read.wait()
        assert read.take(10) == b"a"
        write.close()
        assert await read.wait()
        assert read.take(10) == b""

    run(scenario)


def test_a_reader_that_has_left_is_told_to_the_writer() -> None:
    async def scenario(read: Descriptor, write: Descriptor) -> None:
        writing = asyncio.create_task(write.write(b"x" * 1_000_000))
        await asyncio.sleep(0)
        read.close()
        assert not await writing
        assert not await write.write(b"more")

    run(scenario)


def test_closing_lets_go_of_who_waits() -> None:
    async def scenario(read: Descriptor, write: Descriptor) -> None:
        writing = asyncio.create_task(write.write(b"x" * 1_000_000))
        await asyncio.sleep(0)
        write.close()
        assert not await writing
        waiting = asyncio.create_task(read.wait())
        await asyncio.sleep(0)
        read.close()
        assert await waiting
        assert read.take(10) == b""
        assert await read.wait()
        read.close()

    run(scenario)


def test_a_terminal_that_is_closed_has_ended() -> None:
    async def scenario() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        end = Descriptor(master)
        os.write(slave, b"last")
        os.close(slave)
        assert await read_all(end) == b"last"
        end.close()

    asyncio.run(scenario())
