"""Looks at whole services, in pieces: a service may have more slots than one step has time for.

A pass over a service is a generator: it yields changes that go together, or nothing where it has
looked at so much that the step should end. It reads the tasks as they were when it began; whatever
has changed since is found at the next pass, which follows if anything has, and a change that was
made from an old version is refused by the store. A service that itself has changed is begun anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from manager.state.changes import Change

Pieces = Iterator[list[Change]]
PAUSE: list[Change] = []
"""What a pass yields when the step has lasted long enough."""


class Budget:
    """How much one step may still do: changes to make, and objects to look at."""

    def __init__(self, changes: int, looks: int) -> None:
        self._most = changes, looks
        self.changes, self.looks = self._most

    def renew(self) -> None:
        """A new step begins."""
        self.changes, self.looks = self._most

    def look(self) -> bool:
        """Takes account of one more object looked at; whether the step should end."""
        self.looks -= 1
        return self.looks <= 0

    @property
    def is_spent(self) -> bool:
        """Whether the step should end."""
        return self.looks <= 0 or self.changes <= 0


@dataclass(slots=True)
class Pass:
    """A pass under way. `again`: something has changed since it began, so another one follows."""

    pieces: Pieces
    again: bool = False
