"""What a ProxyCommand of ~/.ssh/config says once its place-holders are filled in. Pure.

The operator's shell reads it, as with ssh: that is what he wrote it for. So what is filled in,
which may come from a cluster file of somebody else, must hold nothing that a shell would take for a
word of its own.
"""

import re
from collections.abc import Mapping
from typing import Protocol

from api.errors import Code, SwarmError, invalid

_HOLDER = re.compile(r"%(.?)", re.DOTALL)
_HARMLESS = re.compile(r"(?!-)[\w.@+:%-]+")


class Goal(Protocol):
    """The SSH server that the command leads to."""

    @property
    def host(self) -> str:
        """Its address, or name."""
        ...

    @property
    def port(self) -> int:
        """Of its SSH server."""
        ...

    @property
    def user(self) -> str:
        """Who goes there."""
        ...


def filled(command: str, goal: Goal, called: str) -> str:
    """The command for this server, which the operator called `called`.

    Knows %h, %n, %p, %r and %%, as ssh_config(5) has it for ProxyCommand. INVALID for others, and
    for what cannot be a line; REFUSED for a host or a user that a shell would misread.
    """
    if not command.isprintable():
        raise _odd(command, "it holds what cannot be printed")
    values = {"h": goal.host, "n": called, "p": str(goal.port), "r": goal.user}
    return _HOLDER.sub(lambda found: _value(command, found[1], values), command)


def _value(command: str, letter: str, values: Mapping[str, str]) -> str:
    if letter == "%":
        return "%"
    if letter not in values or not letter:
        raise _odd(command, f"%{letter} is no place-holder of it")
    if not _HARMLESS.fullmatch(values[letter]):
        raise SwarmError(
            Code.REFUSED,
            f"{values[letter]!r} is not filled into a ProxyCommand",
            why="a shell reads it, and would take parts of this for words of its own",
            remedy="give the host a plain name, address and user",
        )
    return values[letter]


def _odd(command: str, why: str) -> SwarmError:
    return invalid(
        "ssh",
        f"~/.ssh/config has an odd ProxyCommand: {command!r}",
        why=why,
        remedy="see ssh_config(5): %h, %n, %p, %r and %% are known",
    )
