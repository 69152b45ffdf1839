"""Commands that the host itself ends in time, and that answer in English. Pure.

So nothing runs on where nobody waits any more, as after a cut connection.
"""

from collections.abc import Sequence

from api.errors import Code, SwarmError

ENGLISH = ("env", "LC_ALL=C.UTF-8")
GRACE = 5.0
"""Seconds from asking a command to end to killing it."""
BACKSTOP = GRACE + 3.0
"""So much longer than its time a command may seem to take, before nobody waits any more."""
_TIMED_OUT = (124, 137, -9)
"""Exit statuses of timeout(1): ended in time when it was asked to; killed (two ways to say so)."""
_SHOWN_LENGTH = 120


def bounded(argv: Sequence[str], timeout: float) -> tuple[str, ...]:
    """The command, ended by the host after `timeout` seconds, with all that it started."""
    return ("timeout", "-k", f"{GRACE:g}", f"{timeout:.2f}", *argv)


def was_ended(code: int, took: float, timeout: float) -> bool:
    """Whether a bounded command has this exit status because its time was over."""
    return code in _TIMED_OUT and took >= timeout


def too_long(argv: Sequence[str], machine: str, timeout: float) -> SwarmError:
    """What to raise then."""
    shown = " ".join(" ".join(argv).split())
    if len(shown) > _SHOWN_LENGTH:
        shown = f"{shown[:_SHOWN_LENGTH]}..."
    return SwarmError(
        Code.DEADLINE,
        f"{shown} took too long on {machine}",
        why=f"it was ended after {timeout:g} s",
        remedy="look what that host is busy with, then do the same again",
    )
