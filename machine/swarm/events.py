"""What an executor tells while it works, for whoever draws it. Data only."""

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Stage(enum.Enum):
    """How far something is."""

    PHASE = "phase"  # a phase begins
    BEGUN = "begun"  # an action begins
    SAID = "said"  # a line about what an action does now
    DONE = "done"
    FAILED = "failed"
    BACK = "back"  # an action of the way back begins
    SKIPPED = "skipped"  # will not be done in this run


@dataclass(frozen=True)
class Event:
    """One of them; of a whole phase `host` is empty."""

    stage: Stage
    phase: str
    host: str = ""
    action: str = ""
    text: str = ""


Report = Callable[[Event], None]
