"""Telling of changes."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from manager.raft.node.changes import Changes

WHY = SwarmError(Code.UNAVAILABLE, "it has ended")


def test_everybody_is_told_at_once() -> None:
    changes, told = Changes(), list[str]()
    changes.subscribe(lambda: told.append("a"))
    changes.subscribe(lambda: told.append("b"))
    changes.tell()
    assert told == ["a", "b"]
    changes.check()
    assert told == ["a", "b"]


def test_a_condition_is_waited_for() -> None:
    async def scenario() -> None:
        changes, seen = Changes(), set[str]()
        await changes.until(lambda: True)
        waiting = [asyncio.create_task(changes.until(lambda: "a" in seen))]
        waiting += [asyncio.create_task(changes.until(lambda: "b" in seen)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[2].cancel()
        for event, tell in (("a", changes.tell), ("b", changes.check)):
            seen.add(event)
            tell()
            seen.clear()  # it was true, and that is enough
            await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, True]
        await asyncio.gather(*waiting[:2])
        changes.tell()

    asyncio.run(scenario())


def test_at_the_end_nobody_waits_in_vain() -> None:
    async def scenario() -> None:
        changes, told = Changes(), list[str]()
        changes.subscribe(lambda: told.append("a"))
        waiting = asyncio.create_task(changes.until(lambda: False))
        lucky = asyncio.create_task(changes.until(lambda: bool(told)))
        await asyncio.sleep(0)
        changes.end(WHY)
        assert told == ["a"]
        await lucky
        for attempt in (waiting, changes.until(lambda: False)):
            with pytest.raises(SwarmError, match="it has ended"):
                await attempt
        await changes.until(lambda: True)

    asyncio.run(scenario())
