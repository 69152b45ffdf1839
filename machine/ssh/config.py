"""Reads ~/.ssh/config, with the files that it includes. Bounded; never writes, and runs nothing:
what stands under `Match exec` is passed over, and a ProxyCommand is only told.
"""

import getpass
import glob
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko

from api.errors import Code, SwarmError
from machine.ssh.route import Hop, Lookup, route
from machine.target import Target

USERS = Path("~/.ssh/config")
_LINE = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.*)")
_EXEC = re.compile(r"\bexec\b", re.IGNORECASE)
_COMMAND = "proxycommand"
_NOBODY = "Host !*"
_EVERYBODY = "Host *"
_LIMIT = 1 << 20
"""Bytes of one file."""
_DEEPEST = 16
"""Includes within includes, as ssh has it."""


def hops_of(target: Target, said: Lookup | None = None) -> tuple[Hop, ...]:
    """The way there, by what the target and ~/.ssh/config say; `said` stands for the latter."""
    return route(target, said or lookup(), local_user=getpass.getuser())


def dialled(target: Target, said: Lookup | None = None) -> Hop | None:
    """The host itself, if it is dialled from here; None if others or a command lead to it."""
    first, *others = hops_of(target, said)
    return None if others or first.command else first


def lookup(path: Path = USERS) -> Lookup:
    """What the file says of hosts; nothing if there is no such file. INVALID if it is odd."""
    path = path.expanduser()

    def said(host: str) -> dict[str, Any]:
        if not path.exists():
            return {}
        try:
            found: dict[str, Any] = dict(
                _config("\n".join(_lines(path, path.parent, host, 0))).lookup(host)
            )
        except (paramiko.SSHException, ValueError) as error:
            raise _odd(path, str(error)) from None
        if found.get(_COMMAND):
            found[_COMMAND] = bytes.fromhex(found[_COMMAND]).decode()
        return found

    return said


def _lines(path: Path, folder: Path, host: str, depth: int) -> Iterator[str]:
    """Each line that may concern the host; files are included where their block is the host's."""
    if depth > _DEEPEST:
        raise _odd(path, f"files include one another more than {_DEEPEST} deep")
    block = _EVERYBODY  # in which each file begins, whatever block the one before it ended in
    yield block
    for line in _text(path).splitlines():
        found = _LINE.match(line.strip())
        key = found[1].lower() if found else ""
        if found is not None and key == _COMMAND and found[2].lower() != "none":
            # paramiko would fill in port and user as they stand here, not as they will be.
            yield f"{_COMMAND} {found[2].encode().hex()}"
        elif found is None or key not in ("host", "match", "include"):
            yield line
        elif key == "include":
            if _is_within(block, host):
                yield from _included(found[2], folder, host, depth)
            yield block
        else:
            block = _NOBODY if key == "match" and _EXEC.search(found[2]) else line
            yield block


def _included(patterns: str, folder: Path, host: str, depth: int) -> Iterator[str]:
    for pattern in shlex.split(patterns):
        for name in sorted(glob.glob(str(folder / Path(pattern).expanduser()))):
            yield from _lines(Path(name), folder, host, depth + 1)


def _is_within(block: str, host: str) -> bool:
    return "port" in _config(f"{block}\nPort 1\n").lookup(host)


def _config(text: str) -> paramiko.SSHConfig:
    return paramiko.SSHConfig.from_text(text)


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
