"""A look at all of a service, in pieces: there may be more slots than one step has time for.

It yields something for each object that it looks at, and may be left anywhere in between. It reads
the tasks as they were when it began: whatever has changed since is noted, and looked at afterwards;
a change that was made from an old version is refused by the store. A service that itself has
changed is looked at anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from manager.orchestrator.restart import Scene, Steps


@dataclass(slots=True)
class Pass:
    """A look under way at so many tasks."""

    steps: Iterator[Steps]
    tasks: int
    scene: Scene | None  # None: the service is gone
