"""Tasks that should not end by themselves."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from hostkit.lasting import LastingTasks


async def _fails() -> None:
    raise ValueError("broken")


async def _returns() -> None:
    await asyncio.sleep(0)


async def _lasts() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("work", "told"),
    [(_fails, ValueError), (_returns, RuntimeError)],
)
def test_an_end_is_told(
    work: Callable[[], Coroutine[None, None, None]], told: type[BaseException]
) -> None:
    async def scenario() -> None:
        heard: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        tasks = LastingTasks(heard.set_result)
        tasks.start(work())
        tasks.start(_lasts())
        assert isinstance(await asyncio.wait_for(heard, 20), told)
        await tasks.stop()

    asyncio.run(scenario())


def test_nothing_is_told_of_a_stop() -> None:
    async def scenario() -> None:
        heard: list[BaseException] = []
        tasks = LastingTasks(heard.append)
        tasks.start(_lasts())
        tasks.start(_returns())
        tasks.may_end()
        await asyncio.sleep(0.01)
        await tasks.stop()
        await tasks.stop()
        assert heard == []

    asyncio.run(scenario())
