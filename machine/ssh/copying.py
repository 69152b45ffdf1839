"""Copies between this machine and machines, or from one machine to another, as scp writes it.

The bytes are OpenSSH's own business; from machine to machine they go through here, so that
neither has to reach the other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from api.errors import invalid

_THERE = re.compile(r"(?:(?P<user>[^@:/\s]+)@)?(?P<machine>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>.*)")
_HERE = "localhost"


@dataclass(frozen=True)
class End:
    """One end of a copy; `machine` "": this one."""

    path: str
    machine: str = ""
    user: str = ""  # "": the machine's own

    @property
    def word(self) -> str:
        """As scp and rsync take it."""
        if not self.machine:
            # A name with a colon would be a host's, one with a dash an option.
            odd = ":" in self.path or self.path.startswith("-")
            clear = self.path.startswith(("/", "./", "../"))
            return f"./{self.path}" if odd and not clear else self.path
        return (
            f"{self.user}@{self.machine}:{self.path}"
            if self.user
            else f"{self.machine}:{self.path}"
        )


def end(text: str) -> End:
    """Reads [[USER@]MACHINE:]PATH; a path with a slash before its colon is one of this machine."""
    found = _THERE.fullmatch(text)
    if found is None:
        if not text:
            raise invalid("path", "a path is missing", remedy="say [[USER@]MACHINE:]PATH")
        return End(text)
    if found["machine"] == _HERE:
        return End(found["path"] or ".")
    return End(found["path"], found["machine"], found["user"] or "")


def command(
    config: Path,
    sources: Sequence[End],
    goal: End,
    *,
    recursive: bool = False,
    delta: bool = False,
    quiet: bool = False,
) -> list[str]:
    """The program and its words; `delta`: only what differs, by rsync.

    INVALID for what neither can.
    """
    ends = (*sources, goal)
    if not any(each.machine for each in ends):
        raise invalid(
            "path", "no end of this copy is a machine", remedy="say MACHINE:PATH, or use cp"
        )
    words = [each.word for each in ends]
    options = [*(["-r"] if recursive else []), *(["-q"] if quiet else [])]
    if not delta:
        return ["scp", "-F", str(config), "-3", *options, "--", *words]
    if goal.machine and any(each.machine for each in sources):
        raise invalid(
            "delta",
            "rsync does not copy from machine to machine",
            remedy="leave -d out, or copy here first",
        )
    progress = [] if quiet else ["--progress"]
    return ["rsync", "-e", f"ssh -F '{config}'", *progress, *options, "--", *words]
