"""The first step at once, the rest in order."""

import asyncio

import pytest

from manager.raft.transport.eager import Begun


def test_the_first_step_is_taken_at_once_and_the_rest_when_it_is_awaited() -> None:
    async def scenario() -> None:
        steps: list[int] = []
        waits = [asyncio.get_running_loop().create_future() for _ in range(2)]

        async def work() -> None:
            for number, future in enumerate(waits):
                steps.append(number)
                steps.append(await future)
            steps.append(99)

        begun = Begun(work())
        assert steps == [0]
        waits[0].set_result(10)
        await asyncio.sleep(0)
        assert steps == [0]
        asyncio.get_running_loop().call_soon(waits[1].set_result, 11)
        await begun
        assert steps == [0, 10, 1, 11, 99]

    asyncio.run(scenario())


def test_what_ends_in_its_first_step_is_over() -> None:
    async def work() -> None:
        pass

    async def scenario() -> None:
        begun = Begun(work())
        await begun
        begun.close()

    asyncio.run(scenario())


def test_a_failure_reaches_the_coroutine_first_and_then_who_awaits_it() -> None:
    async def scenario() -> None:
        future = asyncio.get_running_loop().create_future()
        seen: list[BaseException] = []

        async def work() -> None:
            try:
                await future
            except OSError as error:
                seen.append(error)
                raise ValueError("broken") from error

        begun = Begun(work())
        future.set_exception(OSError("torn"))
        with pytest.raises(ValueError, match="broken"):
            await begun
        assert [str(each) for each in seen] == ["torn"]

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

        begun = Begun(work())
        if close:
            begun.close()
        else:

            async def wait() -> None:
                await begun

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert future.cancelled()
        assert ended == ["ended"]
        begun.close()

    asyncio.run(scenario())
