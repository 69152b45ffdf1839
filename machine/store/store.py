"""The operator's store of machines: one folder each, and beside them what all of them share.

    machines/NAME/machine.json  the record, and beside it keys and certificates of it alone
    known_hosts                 keys of SSH servers that were pinned
    ca/, client/                the operator's own authority, and his certificate
    locks/                      who works on what

Everything is its owner's alone (0700, 0600) and named by paths relative to the store, so that it
can be moved as a whole. The store never speaks to a host.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from api.errors import Code, SwarmError, invalid
from hostkit.clock import Clock, wall
from hostkit.durable import sync_folder
from machine.store import files, lock
from machine.store.machine import Machine, check_name
from machine.store.schema import PRESENT, Schema, decoded, encoded

VARIABLE = "SWARM_MACHINE_STORAGE_PATH"
"""Of the environment: where the store is."""
_RECORD = "machine.json"


def default_root() -> Path:
    """Where the store is if nobody says otherwise: the XDG folder for a user's data."""
    if named := os.environ.get(VARIABLE, ""):
        return Path(named).expanduser().absolute()
    configured = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".local" / "share"
    return base / "swarmctl" / "machines"


class Store:
    """The store below `root`, which is made at the first write."""

    def __init__(self, root: Path, *, clock: Clock = wall, schema: Schema = PRESENT) -> None:
        self.root = root
        self._schema = schema
        self._clock = clock

    @classmethod
    def open(cls, root: Path | None = None) -> "Store":
        """The store of this operator."""
        return cls(root or default_root())

    @property
    def known_hosts(self) -> Path:
        """Keys of SSH servers that were pinned, in OpenSSH's form. It need not be there."""
        return self.root / "known_hosts"

    def now(self) -> float:
        """Seconds since 1970, for `Machine.changed`."""
        return self._clock()

    def folder(self, name: str) -> Path:
        """The folder of a machine, there or not: what is the machine's alone lies in it."""
        return self.root / "machines" / check_name(name)

    def names(self) -> list[str]:
        """All machines, in order."""
        records = (self.root / "machines").glob(f"*/{_RECORD}")
        return sorted(each.parent.name for each in records)

    def get(self, name: str) -> Machine:
        """The record of a machine; NOT_FOUND if there is none, REFUSED if it is of a newer form.

        One of an older form is replaced by the present one, and kept beside it.
        """
        path = self.folder(name) / _RECORD
        content = files.read(path)
        if content is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"there is no machine {name}",
                remedy="see them with swarmctl machine ls",
            )
        found = decoded(content, str(path), self._schema)
        if found.form < self._schema.form:
            files.replace(path.with_name(f"{_RECORD}.form{found.form}"), content)
            files.replace(path, encoded(found.machine, self._schema))
        return replace(found.machine, name=name)  # a folder that was renamed by hand counts

    def has(self, name: str) -> bool:
        """Whether there is a record of that name."""
        return (self.folder(name) / _RECORD).exists()

    def save(self, machine: Machine) -> None:
        """Makes or replaces a record. INVALID if a path in it is absolute."""
        if os.path.isabs(machine.target.key):
            raise invalid(
                "target.key",
                f"the key of machine {machine.name} has an absolute path",
                why="the store is moved between workstations as a whole",
                remedy="put the key into the store with keep_key",
            )
        files.replace(self.folder(machine.name) / _RECORD, encoded(machine, self._schema))

    def remove(self, name: str) -> None:
        """Forgets a machine with all that is in its folder; one that is missing is no error."""
        folder = self.folder(name)
        if not folder.exists():
            return
        # The record first: whatever moment the power fails, no half of a machine is listed.
        (folder / _RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder)
        sync_folder(folder.parent)

    def keep_key(self, name: str, source: Path) -> str:
        """Copies a private key into the machine's folder; its path for `Target.key`."""
        content = files.read(source.expanduser())
        if content is None:
            raise invalid("key", f"there is no private key {source}", remedy="name another file")
        files.replace(self.folder(name) / "id", content)
        return "id"

    @contextmanager
    def locked(self, name: str, doing: str) -> Iterator[None]:
        """Holds a machine, there or not, for "upgrading it" or the like; REFUSED tells the holder.

        Does not wait.
        """
        with lock.held(self._lock(name), f"machine {name}", doing, wall=self._clock):
            yield

    @contextmanager
    def locked_whole(self, doing: str, *, patience: float = 0.0) -> Iterator[None]:
        """Holds what all machines share: the authority, the client certificates. Not the machines.

        `patience`: seconds to wait for it, blocking.
        """
        path = self.root / "locks" / "store"
        with lock.held(path, "the store of machines", doing, wall=self._clock, patience=patience):
            yield

    def holder(self, name: str) -> str:
        """Who works on a machine now, in words; empty if nobody does."""
        return lock.holder(self._lock(name))

    def _lock(self, name: str) -> Path:
        return self.root / "locks" / f"machine-{check_name(name)}"
