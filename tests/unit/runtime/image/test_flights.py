"""Work that several want is done once."""

import asyncio
from collections.abc import Callable

import pytest

from runtime.image.flights import Flights

Publish = Callable[[str], None]


class Work:
    """Ends when it is let go; counts how often it began and whether it was cancelled."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.begun = 0
        self.cancelled = 0
        self.error = error

    async def __call__(self, publish: Publish) -> int:
        self.begun += 1
        number = self.begun
        publish(f"begun {number}")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.cancelled += 1
            raise
        publish("over")
        if self.error:
            raise self.error
        return number


def ignore(_: str) -> None:
    pass


async def started(*tasks: asyncio.Task[int]) -> None:
    for _ in range(3 * len(tasks)):
        await asyncio.sleep(0)


def test_all_get_the_one_result_and_its_progress() -> None:
    async def scenario() -> None:
        flights: Flights[str, int, str] = Flights()
        work, first, second = Work(), [], []  # type: Work, list[str], list[str]
        tasks = [
            asyncio.create_task(flights.join("k", work, seen.append)) for seen in (first, second)
        ]
        await started(*tasks)
        assert flights.under_way("k")
        work.go.set()
        assert await asyncio.gather(*tasks) == [1, 1]
        assert (first[-1], second[-1]) == ("over", "over")
        assert not flights.under_way("k")
        assert await flights.join("k", work, ignore) == 2

    asyncio.run(scenario())


def test_other_keys_fly_by_themselves() -> None:
    async def scenario() -> None:
        flights: Flights[str, int, str] = Flights()
        work = Work()
        work.go.set()
        both = (flights.join("a", work, ignore), flights.join("b", work, ignore))
        assert sorted(await asyncio.gather(*both)) == [1, 2]

    asyncio.run(scenario())


def test_a_failure_reaches_all() -> None:
    async def scenario() -> None:
        flights: Flights[str, int, str] = Flights()
        work = Work(KeyError("broken"))
        tasks = [asyncio.create_task(flights.join("k", work, ignore)) for _ in range(2)]
        await started(*tasks)
        work.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [KeyError, KeyError]
        assert work.begun == 1

    asyncio.run(scenario())


def test_work_ends_when_the_last_one_leaves() -> None:
    async def scenario() -> None:
        flights: Flights[str, int, str] = Flights()
        work = Work()
        first, second = (asyncio.create_task(flights.join("k", work, ignore)) for _ in range(2))
        await started(first, second)
        first.cancel()
        await asyncio.wait([first])
        assert work.cancelled == 0
        second.cancel()
        await asyncio.wait([second])
        assert work.cancelled == 1
        assert not flights.under_way("k")

    asyncio.run(scenario())


def test_who_comes_while_work_is_being_given_up_begins_anew() -> None:
    async def scenario() -> None:
        flights: Flights[str, int, str] = Flights()
        work = Work()
        first = asyncio.create_task(flights.join("k", work, ignore))
        await started(first)
        first.cancel()
        await asyncio.sleep(0)
        second = asyncio.create_task(flights.join("k", work, ignore))
        await asyncio.wait([first])
        await started(second)
        work.go.set()
        assert await second == 2
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(scenario())
