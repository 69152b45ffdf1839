"""What `hostkit.process` does not use: a child that goes on, and is spoken to line by line."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from hostkit.child import Child, line


def talk(script: str, scenario: Callable[[Child], Awaitable[None]]) -> None:
    async def whole() -> None:
        child = Child(["sh", "-c", script], stdin=True, stdout=True)
        try:
            async with asyncio.timeout(30):
                await scenario(child)
        finally:
            await child.close()
        assert child.has_ended

    asyncio.run(whole())


def test_it_answers_line_by_line_and_ends_with_its_input() -> None:
    async def scenario(child: Child) -> None:
        for word in (b"one\n", b"two\n"):
            await child.stdin.write(word)
            assert await line(child.stdout, 100) == word
        assert not child.has_ended
        child.stdin.close()
        assert await line(child.stdout, 100) == b""
        assert await child.wait() == 0

    talk("exec cat", scenario)


@pytest.mark.parametrize("said", ["123456", "1\\n2"])
def test_what_is_no_line_is_refused(said: str) -> None:
    async def scenario(child: Child) -> None:
        with pytest.raises(ValueError, match="no single line"):
            await line(child.stdout, 5)

    talk(f"printf '{said}'", scenario)


def test_nothing_is_called_that_was_to_be_called_at_a_fork() -> None:
    """As gRPC asks to be, which complains of it."""
    called: list[int] = []
    os.register_at_fork(before=lambda: called.append(1))

    async def scenario(child: Child) -> None:
        assert await child.wait() == 3

    talk("exit 3", scenario)
    assert called == []


def test_on_the_terminal_it_speaks_where_this_process_does(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def whole() -> int:
        child = Child(["sh", "-c", "echo heard; echo complaint >&2"], terminal=True)
        try:
            return await child.wait()
        finally:
            await child.close()

    assert asyncio.run(whole()) == 0
    assert capfd.readouterr() == ("heard\n", "complaint\n")
