"""The first to end decides, and nobody is left behind."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from worker.alongside import alongside


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


def run(*parts: Coroutine[Any, Any, Any]) -> None:
    async def all_of_it() -> None:
        try:
            await alongside(*parts)
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


def test_a_failure_is_passed_on() -> None:
    parts = Parts()
    with pytest.raises(ValueError, match="why"):
        run(parts.forever(), parts.fails(ValueError("why")))
    assert parts.cancelled == 1


def test_of_two_failures_the_first_named_counts() -> None:
    parts = Parts()
    with pytest.raises(KeyError):
        run(parts.fails(KeyError()), parts.fails(ValueError()))


def test_a_cancellation_reaches_all_parts() -> None:
    parts = Parts()

    async def scenario() -> None:
        whole = asyncio.create_task(alongside(parts.forever(), parts.forever()))
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
