"""Work of which nobody believes that it has ended while it has not."""

import asyncio
import threading

import pytest

from swarmctl.threads import to_its_end


def test_it_answers_and_raises_what_the_work_does() -> None:
    def fail() -> None:
        raise OSError("full")

    async def scenario() -> None:
        assert await to_its_end(lambda: 7) == 7
        with pytest.raises(OSError, match="full"):
            await to_its_end(fail)

    asyncio.run(scenario())


@pytest.mark.parametrize("fails", [False, True])
def test_a_caller_that_is_cancelled_waits_for_it(fails: bool) -> None:
    begun, may_end = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work() -> None:
        begun.set()
        may_end.wait()
        ended.append(True)
        if fails:
            raise OSError("full")

    async def scenario() -> None:
        task = asyncio.create_task(to_its_end(work))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]

    asyncio.run(scenario())
