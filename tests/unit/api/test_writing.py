"""The first step at once, the rest when it is awaited, and no word to the coroutine of failures."""

import asyncio

import pytest

from api.writing import Writing


def test_the_first_step_is_taken_at_once_and_the_rest_when_it_is_awaited() -> None:
    async def scenario() -> None:
        steps: list[int] = []
        waits = [asyncio.get_running_loop().create_future() for _ in range(2)]

        async def work() -> None:
            for number, future in enumerate(waits):
                steps.append(number)
                steps.append(await future)
            steps.append(99)

        writing = Writing(work())
        assert steps == [0]
        waits[0].set_result(10)
        await asyncio.sleep(0)
        assert steps == [0]
        asyncio.get_running_loop().call_soon(waits[1].set_result, 11)
        assert await writing is True
        assert steps == [0, 10, 1, 11, 99]

    asyncio.run(scenario())


@pytest.mark.parametrize(("error", "written"), [(None, True), (asyncio.InvalidStateError, False)])
def test_what_ends_in_its_first_step_is_over(error: type[Exception] | None, written: bool) -> None:
    async def work() -> None:
        if error is not None:
            raise error

    async def scenario() -> None:
        writing = Writing(work())
        assert await writing is written
        writing.close()

    asyncio.run(scenario())


def test_a_failure_ends_it_and_is_kept_from_the_coroutine() -> None:
    async def scenario() -> None:
        future = asyncio.get_running_loop().create_future()
        seen: list[str] = []

        async def work() -> None:
            try:
                await future
            except OSError:
                seen.append("told")
            finally:
                seen.append("ended")

        writing = Writing(work())
        future.set_exception(OSError("torn"))
        assert await writing is False
        assert seen == ["ended"]

    asyncio.run(scenario())


@pytest.mark.parametrize("close", [False, True])
def test_cancelled_or_given_up_it_waits_for_nothing_any_more(close: bool) -> None:
    async def scenario() -> None:
        future = asyncio.get_running_loop().create_future()
        ended: list[str] = []

        async def work() -> None:
            try:
                await future
            finally:
                ended.append("ended")

        writing = Writing(work())
        if close:
            writing.close()
        else:

            async def wait() -> None:
                await writing

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert future.cancelled()
        assert ended == ["ended"]
        writing.close()

    asyncio.run(scenario())
