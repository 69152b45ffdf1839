"""What a host must still know of its own containers and networks after its daemon was killed.

SQLite; a write that has returned survives the death of the machine. It is a file apart from what
the agent keeps, for it outlives the host's membership in a swarm. Decides nothing.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from api.errors import Code, SwarmError
from api.v1 import containers_pb2, network_pb2, objects_pb2

T = TypeVar("T")
Kept: TypeAlias = containers_pb2.Container | objects_pb2.Network | network_pb2.NetworkEndpoint
Place: TypeAlias = tuple[str, str]
"""Kind and key."""

CONTAINERS_FILE = "local.db"
"""Its name in the state directory of a daemon."""
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE kept (
    kind TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""
_KINDS: dict[str, type[Kept]] = {
    "container": containers_pb2.Container,
    "network": objects_pb2.Network,
    "endpoint": network_pb2.NetworkEndpoint,
}


@dataclass(frozen=True, slots=True)
class Saved:
    """All there is."""

    containers: list[containers_pb2.Container]
    networks: list[objects_pb2.Network]
    endpoints: list[network_pb2.NetworkEndpoint]


def place_of(kept: Kept) -> Place:
    """Where it is kept."""
    if isinstance(kept, network_pb2.NetworkEndpoint):
        return "endpoint", f"{kept.network_id}/{kept.task_id}"
    return ("container" if isinstance(kept, containers_pb2.Container) else "network"), kept.id


class LocalStorage:
    """One host's file, made by the first write. Close it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="containers")
        self._db: sqlite3.Connection | None = None

    async def load(self) -> Saved:
        """Everything that was kept. REFUSED if the file is damaged or of a later version."""
        return await self._in_thread(self._load)

    async def write(self, kept: Iterable[Kept] = (), gone: Iterable[Place] = ()) -> None:
        """All of it or nothing: what is kept from now on, and what no longer. UNAVAILABLE if the
        disk refuses.
        """
        fresh = [(*place_of(each), each.SerializeToString()) for each in kept]
        dropped = list(gone)
        if fresh or dropped:
            await self._in_thread(lambda: self._write(fresh, dropped))

    async def close(self) -> None:
        """Lets go of the file."""
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _load(self) -> Saved:
        found: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
        if self._path.exists():
            try:
                for kind, value in self._opened().execute("SELECT kind, value FROM kept"):
                    found[kind].append(_KINDS[kind].FromString(value))
            except (sqlite3.Error, DecodeError, KeyError) as error:
                raise self._damaged(str(error)) from error
        return Saved(found["container"], found["network"], found["endpoint"])

    def _write(self, fresh: list[tuple[str, str, bytes]], gone: list[Place]) -> None:
        try:
            db = self._opened()
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("DELETE FROM kept WHERE kind = ? AND key = ?", gone)
                db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", fresh)
        except (sqlite3.Error, OSError) as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"the host's containers could not be written to {self._path}",
                why=str(error),
                remedy="check the free space and the health of its disk",
            ) from error

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its side files the mode of the main one: specs may hold passwords.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self._path, flags, 0o600))
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
            elif version != SCHEMA_VERSION:
                db.close()
                raise self._damaged(f"it has version {version}, and {SCHEMA_VERSION} is known")
            self._db = db
        return self._db

    def _damaged(self, why: str) -> SwarmError:
        return SwarmError(
            Code.REFUSED,
            f"what {self._path} tells of this host's containers cannot be read",
            why=why,
            remedy="move the file away: containers that it told of are removed then",
        )
