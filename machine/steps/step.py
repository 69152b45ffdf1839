"""What a step of an installation is, and what it works with.

A step knows one thing that a host is to have. Its check is pure: it says from one look whether
that is so. Its work may be cut off anywhere and be done again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from api.errors import Code, SwarmError
from hostkit.clock import Clock
from hostkit.process import Completed
from machine import manifest
from machine.manifest import Entry, Manifest
from machine.provisioning import DETAIL, Change, Tell
from machine.remote import Remote
from machine.steps.seen import Seen
from machine.succession import BUSY, PATIENCE, in_turn, still_works

COMMAND = 180.0
"""Seconds that a short command may take: Python alone takes half a minute to start on an emulated
processor. Of a host that is gone the connection tells.
"""
_TOLD = 300


@dataclass
class Work:
    """What the steps of one run share: the way to the host, and the book that is kept of it."""

    remote: Remote
    book: Manifest
    seen: Seen
    tell: Tell
    who: str
    clock: Clock
    changes: list[Change] = field(default_factory=list)

    def detail(self, line: str) -> None:
        """Tells a line of a program that works; see Tell."""
        if line.strip():
            self.tell(DETAIL + line.strip())

    async def save(self, book: Manifest) -> None:
        """Writes the book; the next step counts on it."""
        self.book = book
        await self.remote.write(manifest.PATH, manifest.encoded(book), mode=0o600)

    async def begin(self, step: str) -> None:
        """Notes that a step begins."""
        if self.book.doing != step:
            await self.save(self.book.begun(step))

    async def end(self, change: Change) -> None:
        """Notes that what `change` says is done."""
        self.changes.append(change)
        await self.save(self.book.done(Entry(change.step, change.what, self.who, self.clock())))

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = COMMAND,
        stdin: bytes = b"",
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        """Runs a command that must succeed; INTERNAL with what it said last if it does not."""
        done = await self.attempt(argv, timeout=timeout, stdin=stdin, tell=tell)
        if done.code != 0:
            raise failure(done, argv)
        return done

    async def attempt(
        self,
        argv: Sequence[str],
        *,
        timeout: float = COMMAND,
        stdin: bytes = b"",
        tell: Callable[[str], None] | None = None,
    ) -> Completed:
        """Runs a command that may fail, when no other of ours works there; CONFLICT if one does."""
        done = await self.remote.run(
            in_turn(argv), stdin=stdin, timeout=timeout + PATIENCE, tell=tell
        )
        if done.code == BUSY:
            raise still_works(self.remote.name)
        return done


def failure(done: Completed, argv: Sequence[str]) -> SwarmError:
    """The error of a command that failed: in the words of its last lines."""
    talk = (done.err.strip() or done.out.strip()).decode(errors="replace")
    why = " | ".join(line.strip() for line in talk.splitlines()[-3:])[-_TOLD:]
    return SwarmError(
        Code.INTERNAL, f"`{' '.join(argv)[:80]}` failed with exit code {done.code}", why=why
    )


class StepError(SwarmError):
    """A step that failed; `step`: which."""

    def __init__(self, host: str, step: str, error: SwarmError) -> None:
        super().__init__(
            error.code,
            f"{host}: step {step} failed",
            why=f"{error.what}: {error.why}" if error.why else error.what,
            remedy=error.remedy or "look at that, then do this again: it goes on there",
        )
        self.step = step


class Step(Protocol):
    """One thing that a host is to have."""

    @property
    def name(self) -> str:
        """What plans and journals call it."""
        ...

    @property
    def paths(self) -> Sequence[str]:
        """What the look has to tell of."""
        ...

    def change(self, seen: Seen) -> Change | None:
        """What is not as it is to be; None if all is well."""
        ...

    async def apply(self, work: Work) -> None:
        """Makes it so. Called only if there is a change."""
        ...
