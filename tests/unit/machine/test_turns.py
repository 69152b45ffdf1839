"""One at a time, whoever it is."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine import turns


def test_a_lock_is_refused_while_it_is_held_and_free_afterwards(tmp_path: Path) -> None:
    with turns.locked(tmp_path, "host m1"):
        with pytest.raises(SwarmError) as refused, turns.locked(tmp_path, "host m1"):
            pass
        assert refused.value.code is Code.CONFLICT
    with turns.locked(tmp_path, "host m1"):
        pass


def test_who_waits_for_a_lock_gets_its_turn(tmp_path: Path) -> None:
    order: list[str] = []

    async def both() -> None:
        begun = asyncio.Event()

        async def first() -> None:
            async with turns.turn(tmp_path, "it"):
                begun.set()
                await asyncio.sleep(0)
                order.append("first")

        async def second() -> None:
            await begun.wait()
            async with turns.turn(tmp_path, "it"):
                order.append("second")
            with turns.locked(tmp_path, "it"), pytest.raises(SwarmError) as late:
                async with turns.turn(tmp_path, "it", patience=0):
                    order.append("never")
            assert late.value.code is Code.CONFLICT

        await asyncio.gather(first(), second())

    asyncio.run(both())
    assert order == ["first", "second"]


def test_a_directory_that_is_gone_is_made_only_for_who_wants_it(tmp_path: Path) -> None:
    async def enter(directory: Path) -> None:
        async with turns.turn(directory, "it", make=False):
            pass

    with pytest.raises(FileNotFoundError):
        asyncio.run(enter(tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()
    with turns.locked(tmp_path / "made", "it"):
        assert (tmp_path / "made").is_dir()
