"""Changes of a host's life go on though their caller leaves, and end with the daemon."""

import asyncio
import logging

import pytest

from swarmctl.changes import Changes


def test_a_change_goes_on_though_its_caller_leaves() -> None:
    async def scenario() -> None:
        changes, may_end, done = Changes(), asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await may_end.wait()
            done.set()

        caller = asyncio.create_task(changes.run("a change", work()))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        may_end.set()
        async with asyncio.timeout(10):
            await done.wait()

    asyncio.run(scenario())


def test_the_end_breaks_off_what_is_under_way() -> None:
    async def scenario() -> None:
        changes, ended = Changes(), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        caller = asyncio.create_task(changes.run("a change", work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await changes.end()
        assert ended.is_set()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(scenario())


def test_what_failed_is_raised_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async def work() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await Changes().run("a change", work())
        await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "a change failed: no" in caplog.text
