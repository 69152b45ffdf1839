"""What is found out in pieces, all at once."""

from collections.abc import Generator
from typing import TypeVar

R = TypeVar("R")


def result_of(steps: Generator[None, None, R]) -> R:
    """Goes through all of the steps, and gives what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: R = end.value
            return found
