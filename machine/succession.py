"""One command after the other on a host, also across connections.

A command goes on when the connection under it breaks: what comes next, over another one, waits for
its end. Each holds the lock of a directory that every host has, so that nothing is left by it.
"""

from collections.abc import Sequence

from api.errors import Code, SwarmError
from machine.provisioning import Tell
from machine.remote import Remote

LOCKED = "/run"
BUSY = 75
"""Exit status of a command whose turn did not come; EX_TEMPFAIL of sysexits.h."""
PATIENCE = 60
"""Seconds that a command waits for its turn."""
_LONG = 900.0
"""Seconds that a run waits for what an earlier one left working there, as pip."""
_PROMPT = 60.0


def in_turn(argv: Sequence[str], patience: float = PATIENCE) -> tuple[str, ...]:
    """The command, begun when no other of ours runs there: BUSY if that takes too long.

    What it leaves running has no part in the lock.
    """
    return ("flock", "-o", "-w", f"{patience:g}", "-E", f"{BUSY}", LOCKED, *argv)


async def await_turn(remote: Remote, tell: Tell, *, patience: float = _LONG) -> None:
    """Waits until nothing works on the host that an earlier run began; CONFLICT if it goes on."""
    done = await remote.run(in_turn(["true"], 0), timeout=_PROMPT)
    if done.code == BUSY:
        tell("waiting for what an earlier run still does there")
        done = await remote.run(in_turn(["true"], patience), timeout=patience + _PROMPT)
    if done.code == BUSY:
        raise still_works(remote.name)


def still_works(host: str) -> SwarmError:
    """What is raised when a turn does not come."""
    return SwarmError(
        Code.CONFLICT,
        f"another run still works on {host}",
        why="of a run whose connection breaks, the command that it was at goes on",
        remedy=f"let it end (there: fuser -v {LOCKED}, or ps), then do the same again",
    )
