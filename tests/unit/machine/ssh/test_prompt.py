"""What is asked at a terminal: a pseudo-terminal is one."""

import asyncio
import os
import termios
from collections.abc import Iterator

import pytest

from machine.ssh.prompt import hidden


class Terminal:
    def __init__(self) -> None:
        self.operator, self.there = os.openpty()
        self.name = os.ttyname(self.there)

    @property
    def shows(self) -> bool:
        return bool(termios.tcgetattr(self.there)[3] & termios.ECHO)

    async def prompted(self) -> str:
        """What it showed, once it asks."""
        return (await asyncio.to_thread(os.read, self.operator, 100)).decode()

    def end(self) -> None:
        os.close(self.operator)
        os.close(self.there)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize(
    ("typed", "answer"), [(b"it\xc3\xa9m\n", "it\u00e9m"), (b"\n", ""), (b"\x04", None)]
)
def test_a_line_is_read_and_not_shown(terminal: Terminal, typed: bytes, answer: str | None) -> None:
    async def whole() -> None:
        asking = asyncio.create_task(hidden("Say: ", terminal.name))
        assert await terminal.prompted() == "Say: "
        assert not terminal.shows
        os.write(terminal.operator, typed)
        assert await asking == answer
        assert (await terminal.prompted()).strip() == ""

    asyncio.run(whole())
    assert terminal.shows


def test_an_interrupt_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    async def whole() -> None:
        asking = asyncio.create_task(hidden("Say: ", terminal.name))
        await terminal.prompted()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(whole())
    assert terminal.shows


def test_nobody_is_asked_without_a_terminal() -> None:
    assert asyncio.run(hidden("Say: ", "/dev/no-such-terminal")) is None
