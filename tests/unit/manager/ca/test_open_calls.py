"""Calls under way end when their maker is removed, and no others."""

import asyncio
from collections.abc import Callable

import pytest

from api.errors import Code, SwarmError
from api.identity import Identity, Role
from manager.ca.open_calls import OpenCalls


def who(name: str, role: Role = "worker") -> Identity:
    return Identity(role, name, "c", 1, 0.0)


def out(name: str) -> SwarmError:
    return SwarmError(Code.UNAUTHENTICATED, f"{name} is out")


def only(name: str) -> Callable[[Identity], SwarmError | None]:
    return lambda each: out(name) if each.id == name else None


async def serve(calls: OpenCalls[Identity], name: str) -> str:
    async with calls.held(who(name)):
        await asyncio.Event().wait()
    return name


def test_the_calls_of_the_one_end_with_the_reason_and_others_go_on() -> None:
    async def run() -> None:
        calls = OpenCalls[Identity]()
        served = {
            name: [asyncio.create_task(serve(calls, name)) for _ in range(2)] for name in "ab"
        }
        await asyncio.sleep(0)
        calls.end_where(only("a"))
        calls.end_where(lambda each: out("twice") if each.id == "a" else None)
        for task in served["a"]:
            with pytest.raises(SwarmError, match="a is out"):
                await task
            assert not task.cancelled()
        assert not any(task.done() for task in served["b"])
        for task in served["b"]:
            task.cancel()
        results = await asyncio.gather(*served["b"], return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in results)

    asyncio.run(run())


def test_a_call_that_is_over_is_forgotten() -> None:
    async def run() -> None:
        calls = OpenCalls[Identity]()
        async with calls.held(who("a")):
            pass
        calls.end_where(lambda each: out(each.id))
        await asyncio.sleep(0)  # a cancellation would come here

    asyncio.run(run())


def test_both_whom_a_call_hangs_on_are_held() -> None:
    async def run() -> None:
        calls = OpenCalls[Identity]()

        async def passed_on() -> None:
            async with calls.held(who("m1", "manager")), calls.held(who("alice", "operator")):
                await asyncio.Event().wait()

        for gone in ("m1", "alice"):
            task = asyncio.create_task(passed_on())
            await asyncio.sleep(0)
            calls.end_where(only(gone))
            with pytest.raises(SwarmError, match=f"{gone} is out"):
                await task

    asyncio.run(run())
