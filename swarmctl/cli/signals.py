"""Signals for as long as something has to be put back: the terminal, however a command ends."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What ends a program that does not see to it, at once."""
_SIGNALLED = 128

Handler = Callable[[int, Any], None]


@contextmanager
def handling(handler: Handler, *signals: signal.Signals) -> Iterator[None]:
    """These signals are the handler's within. In the main thread alone."""
    before = [(number, signal.signal(number, handler)) for number in signals]
    try:
        yield
    finally:
        for number, former in before:
            signal.signal(number, former)


def end(number: int, frame: object) -> None:
    """A handler that ends the program as a shell tells of it, and lets it put back what it must."""
    raise SystemExit(_SIGNALLED + number)
