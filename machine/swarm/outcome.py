"""How far a run of a plan came. Data only."""

from dataclasses import dataclass, field

from api.errors import SwarmError
from machine.swarm.actions import Action


@dataclass
class Outcome:
    """How far a run came: errors by host, and whether it was told to stop. Grows while it works."""

    failures: dict[str, SwarmError] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    """Hosts that went back to the version before."""
    done: list[Action] = field(default_factory=list)
    """Actions that came to their end; of those of a way back the hooks alone."""
    busy: list[Action] = field(default_factory=list)
    """Actions that have begun and not ended: of a run that was cut off, what it was cut off in."""
    was_stopped: bool = False
