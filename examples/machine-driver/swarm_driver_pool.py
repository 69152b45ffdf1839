"""A driver for `swarmctl machine`: hosts out of a file, each lent to one machine at a time.

The file has a host a line, `[USER@]ADDRESS`. Beside it stands who has which, in a file of the same
name with `.lent`; several operators may share the two.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError, invalid
from machine.driver import MachineDriver, MachineHost, Option, State
from machine.target import Target


class Pool:
    """Tells of itself; see machine.driver.DriverKind."""

    name = "pool"
    help = "a host that is lent from a file of hosts"
    has_power = False
    options: Sequence[Option] = (
        Option("file", "File with a host a line, [USER@]ADDRESS", required=True, is_path=True),
        Option("ssh-key", "Private key for all of them", default="", is_key=True),
    )

    def driver(self, options: Mapping[str, Any], folder: Path) -> MachineDriver:
        """See DriverKind."""
        file = Path(options["file"])
        if not file.is_file():
            raise invalid("pool-file", f"there is no file {file}")
        key = str(options.get("ssh-key", ""))
        return PoolDriver(file, str(folder / key) if key else "")


POOL = Pool()


class PoolDriver:
    """See machine.driver.MachineDriver."""

    def __init__(self, file: Path, key: str) -> None:
        self._file = file
        self._key = key

    def host(self, name: str) -> MachineHost:
        """See MachineDriver."""
        return PoolHost(name, _lent(self._file).get(name, ""), self._key)

    async def create(self, name: str) -> MachineHost:
        """Borrows a free host; one that this name has already is given again."""
        with _changing(self._file) as lent:
            if name not in lent:
                free = [each for each in _hosts(self._file) if each not in lent.values()]
                if not free:
                    raise SwarmError(
                        Code.EXHAUSTED,
                        f"no host of {self._file} is free",
                        why=f"all {len(lent)} are lent",
                        remedy="remove a machine, or add a line",
                    )
                lent[name] = free[0]
        return self.host(name)

    async def remove(self, name: str) -> None:
        """Gives it back."""
        with _changing(self._file) as lent:
            lent.pop(name, None)


class PoolHost:
    """See machine.driver.MachineHost."""

    def __init__(self, name: str, line: str, key: str) -> None:
        self.name = name
        self._line = line
        self._key = key

    @property
    def address(self) -> str:
        """Without the user."""
        return self._line.rpartition("@")[2]

    async def target(self) -> Target:
        """See MachineHost."""
        if not self._line:
            raise SwarmError(Code.UNAVAILABLE, f"{self.name} has no host of the pool")
        return Target(self.address, user=self._line.rpartition("@")[0], key=self._key)

    async def state(self) -> State:
        """Hosts of the pool run as long as they are lent."""
        return State.RUNNING if self._line else State.STOPPED

    async def start(self) -> None:
        """Refused: a file has no power switch."""
        raise self._refusal()

    async def stop(self) -> None:
        """Refused."""
        raise self._refusal()

    async def kill(self) -> None:
        """Refused."""
        raise self._refusal()

    def _refusal(self) -> SwarmError:
        return SwarmError(Code.UNSUPPORTED, f"{self.name} is of a pool, which has no power switch")


def _hosts(file: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def _lent(file: Path) -> dict[str, str]:
    try:
        return dict(json.loads(Path(f"{file}.lent").read_text()))
    except FileNotFoundError:
        return {}


@contextlib.contextmanager
def _changing(file: Path) -> Iterator[dict[str, str]]:
    """Who has what; what is changed in it is kept. One operator at a time."""
    with file.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        lent = _lent(file)
        yield lent
        fresh = Path(f"{file}.lent.new")
        fresh.write_text(json.dumps(lent, indent=2) + "\n")
        os.replace(fresh, f"{file}.lent")
