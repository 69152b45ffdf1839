"""Runs other programs: argument lists only, always with a time limit, failures as SwarmErrors.

It never goes through a shell and never leaves a child behind: one that outlives its limit, or
whose caller is cancelled, is killed and reaped.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.child import Child, everything

_TOLD_LINES = 5
"""So many last lines of a failed program's talk go into the error."""
_SHOWN_LENGTH = 120
"""Longer command lines are cut in errors."""


@dataclass(frozen=True)
class Completed:
    """How a program ended: `code` is its exit status, or minus the signal that killed it."""

    argv: tuple[str, ...]
    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without surrounding white space."""
        return self.out.decode(errors="replace").strip()

    def failure(self) -> SwarmError:
        """The error to raise if this exit status is not acceptable to the caller."""
        talk = (self.err.strip() or self.out.strip()).decode(errors="replace")
        why = " | ".join(talk.splitlines()[-_TOLD_LINES:])
        ending = f"exit status {self.code}" if self.code >= 0 else f"signal {-self.code}"
        return SwarmError(
            Code.INTERNAL, f"{_shown(self.argv)} failed", why=f"{ending}: {why}" if why else ending
        )


async def run(
    argv: Sequence[str],
    *,
    timeout: float,
    input: bytes | None = None,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
) -> Completed:
    """Run `argv` to its end, at most `timeout` seconds; standard input is `input`, else empty.

    Raises UNSUPPORTED if the program is not there, DEADLINE after `timeout`, and, unless
    `check` is false, INTERNAL on any exit status but 0.
    """
    try:
        child = Child(argv, stdin=input is not None, stdout=True, stderr=True, env=env, cwd=cwd)
    except (FileNotFoundError, PermissionError) as error:
        raise not_runnable(argv[0], error) from None
    try:
        async with asyncio.timeout(timeout):
            out, err, _ = await asyncio.gather(
                everything(child.stdout), everything(child.stderr), _feed(child, input)
            )
            code = await child.wait()
    except TimeoutError:
        raise SwarmError(
            Code.DEADLINE, f"{_shown(argv)} took too long", why=f"killed after {timeout:g} s"
        ) from None
    finally:
        await child.close()
    completed = Completed(tuple(argv), code, out, err)
    if check and completed.code != 0:
        raise completed.failure()
    return completed


async def _feed(child: Child, input: bytes | None) -> None:
    if input is not None:
        await child.stdin.write(input)
        child.stdin.close()


def not_runnable(program: str, error: OSError) -> SwarmError:
    """The error to raise when the program could not be started."""
    missing = isinstance(error, FileNotFoundError)
    return SwarmError(
        Code.UNSUPPORTED,
        f"cannot run {program}",
        why="it is not installed" if missing else str(error.strerror),
        remedy=f"install {program} or put it into PATH" if missing else "",
    )


def _shown(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."
