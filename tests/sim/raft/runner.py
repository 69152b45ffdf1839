"""One run from its settings to its verdict."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from api.errors import SwarmError
from manager.raft.core.errors import RaftError
from tests.sim.raft.settings import Settings
from tests.sim.raft.transcript import Transcript
from tests.sim.raft.violation import Violation
from tests.sim.raft.world import World, new_world

_BROKEN = (RaftError, SwarmError, LookupError, TypeError, ValueError, RuntimeError, AttributeError)
"""What the code under test raises where it finds that something cannot be."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`violation`: None if all went well. `tail`: the end of the transcript."""

    settings: Settings
    events: int
    members: int
    virtual_seconds: float
    counts: Counter[str]
    violation: Violation | None = None
    tail: list[str] = field(default_factory=list)
    sum: int = 0

    def report(self) -> str:
        """For people: what broke, how to see it again, and what came before it."""
        if self.violation is None:
            return (
                f"{self.events} events in {self.virtual_seconds:.0f} virtual seconds: "
                f"{self.members} members, {self.counts['writes']} writes acknowledged, "
                f"{self.counts['reads']} reads served; every invariant held"
            )
        lines = [*self.tail, "", f"BROKEN after {self.events} events: {self.violation.invariant}"]
        return "\n".join([*lines, f"  {self.violation.what}", f"  {self.settings.command()}"])


def run(
    settings: Settings,
    *,
    transcript: Transcript | None = None,
    planted: AbstractContextManager[object] | None = None,
) -> Verdict:
    """Runs a world to its end, or to the first violation, with a planted bug if one is given."""
    with planted or nullcontext(), _silence(), new_world(settings, transcript) as world:
        violation = None
        try:
            world.run()
        except Violation as error:
            violation = error
        except _BROKEN as error:
            violation = Violation("the code's own invariants", f"{type(error).__name__}: {error}")
            violation.__cause__ = error
        return _verdict(world, violation)


@contextmanager
def _silence() -> Iterator[None]:
    """Faults are the rule here: what the log has to say of them is not news."""
    logger = logging.getLogger("manager.raft")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _verdict(world: World, violation: Violation | None) -> Verdict:
    return Verdict(
        settings=world.settings,
        events=world.clock.events,
        members=len(world.hosts),
        virtual_seconds=world.clock.now / 1000,
        counts=world.counts,
        violation=violation,
        tail=[*world.transcript.lines(), "", *world.describe()] if violation is not None else [],
        sum=world.transcript.sum,
    )
