"""One run from its settings to its verdict."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from tests.sim.control.checks import violated
from tests.sim.control.settings import Settings
from tests.sim.control.world import new_world
from tests.sim.raft.transcript import Transcript
from tests.sim.raft.violation import Violation


@dataclass(frozen=True, slots=True)
class Verdict:
    """`violation`: None if all went well. `tail`: the end of the transcript."""

    settings: Settings
    steps: int
    commands: int
    virtual_seconds: float
    violation: Violation | None
    sum: int
    tail: list[str] = field(default_factory=list)

    def report(self) -> str:
        """For people: what broke, how to see it again, and what came before it."""
        if self.violation is None:
            return (
                f"{self.steps} steps in {self.virtual_seconds:.0f} virtual seconds, "
                f"{self.commands} commands: every invariant held (transcript {self.sum:08x})"
            )
        lines = [*self.tail, "", f"BROKEN after {self.steps} steps: {self.violation.invariant}"]
        return "\n".join([*lines, f"  {self.violation.what}", f"  {self.settings.command()}"])


def run(
    settings: Settings,
    *,
    planted: AbstractContextManager[object] | None = None,
    keep: int = 300,
) -> Verdict:
    """Runs a world to its end, or to the first violation, with a planted bug if one is given."""
    transcript = Transcript(keep=keep, whole=True)
    violation = None
    with planted or nullcontext(), _silence(), new_world(settings, transcript) as world:
        try:
            world.run()
        except Exception as error:  # whatever is raised in such a world is a finding
            violation = violated(error)
        tail = [*transcript.lines(), "", *world.describe()] if violation is not None else []
    if violation is None and world.left:
        violation = Violation("what is cancelled ends", f"{world.left} go on")
    return Verdict(
        settings=settings,
        steps=world.loop.steps,
        commands=world.watch.commands,
        virtual_seconds=world.loop.time(),
        violation=violation,
        sum=transcript.sum,
        tail=tail,
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Faults are the rule here: what the log has to say of them is not news."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
