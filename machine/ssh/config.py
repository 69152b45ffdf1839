"""Reads ~/.ssh/config, with the files that it includes. Bounded; never writes."""

import getpass
import glob
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import paramiko

from api.errors import Code, SwarmError
from machine.ssh.route import Hop, Lookup, route
from machine.target import Target

USERS = Path("~/.ssh/config")
_KEY = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.*)")
_LIMIT = 1 << 20
"""Bytes of one file."""
_DEEPEST = 16
"""Includes within includes, as ssh has it."""


def lookup(path: Path = USERS) -> Lookup:
    """What the file says of hosts; nothing if there is no such file. INVALID if it is odd."""
    path = path.expanduser()
    text = "\n".join(_lines(path, path.parent, 0)) if path.exists() else ""
    try:
        config = paramiko.SSHConfig.from_text(text)
    except (paramiko.SSHException, ValueError) as error:
        raise _odd(path, str(error)) from None

    def said(host: str) -> dict[str, object]:
        try:
            return dict(config.lookup(host))
        except (paramiko.SSHException, ImportError, ValueError) as error:
            raise _odd(path, str(error)) from None

    return said


def hops_of(target: Target, said: Lookup | None = None) -> tuple[Hop, ...]:
    """The way there, by what the target and ~/.ssh/config say; `said` stands for the latter."""
    return route(target, said or lookup(), local_user=getpass.getuser())


def _lines(path: Path, folder: Path, depth: int) -> Iterator[str]:
    """Each line; a line Include gives way to what it means, and then its block goes on."""
    if depth > _DEEPEST:
        raise _odd(path, f"files include one another more than {_DEEPEST} deep")
    block = "Host *"
    for line in _text(path).splitlines():
        found = _KEY.match(line.strip())
        key = found[1].lower() if found else ""
        if key in ("host", "match"):
            block = line
        if found is None or key != "include":
            yield line
            continue
        for pattern in shlex.split(found[2]):
            for name in sorted(glob.glob(str(folder / Path(pattern).expanduser()))):
                yield from _lines(Path(name), folder, depth + 1)
                yield block


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise _odd(path, str(error.strerror)) from None
    if len(content) > _LIMIT:
        raise _odd(path, f"it is longer than {_LIMIT} bytes")
    return content.decode(errors="replace")


def _odd(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.INVALID, f"cannot use {path}", why=why, remedy=f"mend {path}: ssh -G HOST reads it too"
    )
