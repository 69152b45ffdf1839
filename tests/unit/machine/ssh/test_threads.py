"""Threads of a connection that is closed while work is on its way to them."""

import asyncio
import threading

import pytest

from machine.ssh.threads import EndedError, Threads


def nothing() -> None:
    pass


class Held:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()

    def __call__(self) -> bool:
        self.begun.set()
        return self.free.wait()


def threads() -> Threads:
    """A single one."""
    return Threads(1, "test", stuck=5.0, give_up=nothing)


def test_the_answer_is_that_of_the_work() -> None:
    async def work() -> None:
        one = threads()
        assert await one.run(lambda: 7, nothing) == 7
        with pytest.raises(ZeroDivisionError):
            await one.run(lambda: 1 // 0, nothing)
        one.end()

    asyncio.run(work())


def test_after_the_end_nothing_is_begun() -> None:
    async def work() -> None:
        one = threads()
        one.end()
        with pytest.raises(EndedError):
            await one.run(lambda: pytest.fail("it was begun"), nothing)

    asyncio.run(work())


def test_what_no_thread_has_taken_at_the_end_is_ended_and_not_cancelled() -> None:
    held = Held()

    async def work() -> None:
        one = threads()
        first = asyncio.create_task(one.run(held, held.free.set))
        second = asyncio.create_task(one.run(lambda: pytest.fail("it was begun"), nothing))
        await asyncio.to_thread(held.begun.wait)
        ending = asyncio.create_task(asyncio.to_thread(one.end))
        with pytest.raises(EndedError):
            await second
        held.free.set()
        await asyncio.gather(first, ending)

    asyncio.run(work())


def test_who_is_cancelled_is_cancelled_after_what_he_waited_for() -> None:
    free = threading.Event()

    async def work() -> None:
        one = threads()
        waiting = asyncio.create_task(one.run(free.wait, free.set))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert free.is_set()
        one.end()

    asyncio.run(work())
