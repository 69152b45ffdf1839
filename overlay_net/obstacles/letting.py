"""Lets networks pass another program's firewall, by that program's own commands."""

import shlex
import subprocess

from api.errors import Code, SwarmError

_TIMEOUT = 30.0
_AND = " && "
_LONGEST = 500


def run(command: str) -> None:
    """Runs what a finding that `mends` says, one step after another, without a shell.

    SwarmError with what the program says if one is refused, or the program is not there.
    """
    for step in command.split(_AND):
        argv = shlex.split(step)
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _refused(step, str(error)) from error
        if done.returncode:
            raise _refused(step, (done.stderr or done.stdout)[:_LONGEST])


def _refused(step: str, why: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"{step} failed",
        why=" ".join(why.split()),
        remedy="let networks pass by hand, as that firewall wants it",
    )
