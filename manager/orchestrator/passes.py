"""A look at all of a service, in pieces: there may be more slots than one step has time for.

It yields something for each object that it looks at, and may be left anywhere in between. It reads
the tasks as they were when it began: whatever has changed since is found at the next look, which
follows if anything has, and a change that was made from an old version is refused by the store. A
service that itself has changed is looked at anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from manager.orchestrator.restart import Scene, Steps


@dataclass(slots=True)
class Pass:
    """A look under way. `again`: something has changed since it began, so another one follows."""

    steps: Iterator[Steps]
    scene: Scene | None  # None: the service is gone
    again: bool = False
