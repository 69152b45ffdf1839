"""A look at a service, in pieces: there may be more slots than one step has time for.

It yields something for each object that it looks at, and may be left anywhere in between. It reads
the tasks as they were when it began: whatever has changed since is noted, and looked at afterwards;
a change that was made from an old version is refused by the store. A service that itself has
changed is looked at anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from manager.orchestrator.restart import Scene, Steps

T = TypeVar("T")


@dataclass(slots=True)
class Pass:
    """A look under way."""

    steps: Iterator[Steps]
    scene: Scene | None  # None: the service is gone
    tasks: int = 0
    """How many tasks it looks at, if it is about all of the service."""


def used_up(items: list[T]) -> Iterator[T]:
    """The items in their order, each let go of as soon as it was looked at.

    What a look read may live in it alone by then: to free 100,000 tasks at once takes a tenth of a
    second.
    """
    items.reverse()
    while items:
        yield items.pop()
