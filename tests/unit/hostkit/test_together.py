"""The first to end decides, and nobody is left behind."""

import asyncio
from collections.abc import Callable

import pytest

from hostkit.together import Part, alongside, together


class Parts:
    """Coroutines that note how they ended."""

    def __init__(self) -> None:
        self.cancelled = 0

    async def forever(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def fails(self, error: Exception) -> None:
        await asyncio.sleep(0)
        raise error


def run(*parts: Part, how: Callable[..., Part] = alongside) -> None:
    async def all_of_it() -> None:
        try:
            await how(*parts)
        finally:
            assert len(asyncio.all_tasks()) == 1
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0

    asyncio.run(all_of_it())


def test_an_end_ends_all() -> None:
    parts = Parts()
    run(parts.forever(), asyncio.sleep(0), parts.forever())
    assert parts.cancelled == 2


def test_all_go_on_to_their_end() -> None:
    ended = []

    async def ends(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        ended.append(turns)

    run(ends(1), ends(5), ends(3), how=together)
    assert ended == [1, 3, 5]


def test_nothing_ends_at_once() -> None:
    run(how=together)
    run()


@pytest.mark.parametrize("how", [alongside, together])
def test_a_failure_is_passed_on(how: Callable[..., Part]) -> None:
    parts = Parts()
    with pytest.raises(ValueError, match="why"):
        run(parts.forever(), parts.fails(ValueError("why")), how=how)
    assert parts.cancelled == 1


def test_of_two_failures_the_first_named_counts() -> None:
    parts = Parts()
    with pytest.raises(KeyError):
        run(parts.fails(KeyError()), parts.fails(ValueError()))


@pytest.mark.parametrize("how", [alongside, together])
def test_a_cancellation_reaches_all_parts(how: Callable[..., Part]) -> None:
    parts = Parts()

    async def scenario() -> None:
        whole = asyncio.create_task(how(parts.forever(), parts.forever()))
        await asyncio.sleep(0.01)
        whole.cancel()
        with pytest.raises(asyncio.CancelledError):
            await whole

    asyncio.run(scenario())
    assert parts.cancelled == 2


def test_a_part_that_cancels_itself_is_no_quiet_end() -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="gives_up"):
        run(Parts().forever(), gives_up())
