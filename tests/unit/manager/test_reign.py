"""The duties of a leader begin and end with its lead."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from manager.reign import Reign
from tests.support.standing import Standing


class Duties:
    """What a leader does: counts, and fails when it is told to."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.failure: asyncio.Future[None] | None = None

    async def work(self) -> None:
        self.begun += 1
        self.failure = asyncio.get_running_loop().create_future()
        try:
            await self.failure
        finally:
            self.ended += 1


def run(scenario: Callable[[Standing, Duties, "asyncio.Task[None]"], Awaitable[None]]) -> Duties:
    duties = Duties()

    async def main() -> None:
        standing = Standing()
        reign = asyncio.create_task(Reign(standing, duties.work).run())
        await settle()
        try:
            await scenario(standing, duties, reign)
        finally:
            reign.cancel()
            await asyncio.wait([reign])
        assert standing.callbacks == []

    asyncio.run(main())
    return duties


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


def test_duties_follow_the_lead() -> None:
    async def scenario(standing: Standing, duties: Duties, reign: "asyncio.Task[None]") -> None:
        assert duties.begun == 0
        standing.sees("a", itself=True)
        await settle()
        assert (duties.begun, duties.ended) == (1, 0)
        for told in list(standing.callbacks):
            told()  # something else has changed
        await settle()
        assert duties.begun == 1
        standing.sees("b")
        await settle()
        assert duties.ended == 1
        standing.sees("a", itself=True)
        await settle()
        assert (duties.begun, duties.ended) == (2, 1)

    assert run(scenario).ended == 2  # the end of the reign is the end of its duties


def test_the_next_term_begins_anew_though_the_leader_is_the_same() -> None:
    async def scenario(standing: Standing, duties: Duties, reign: "asyncio.Task[None]") -> None:
        standing.sees("a", itself=True)
        await settle()
        standing.sees("b")
        standing.sees("a", itself=True)
        await settle()
        assert (duties.begun, duties.ended) == (2, 1)

    run(scenario)


def test_a_duty_that_fails_ends_the_reign() -> None:
    async def scenario(standing: Standing, duties: Duties, reign: "asyncio.Task[None]") -> None:
        standing.sees("a", itself=True)
        await settle()
        assert duties.failure is not None
        duties.failure.set_exception(RuntimeError("broken"))
        with pytest.raises(RuntimeError, match="broken"):
            await reign

    run(scenario)
