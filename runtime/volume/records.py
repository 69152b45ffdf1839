"""What a host must still know of its volumes after its daemon was killed: which there are, and what
is mounted for whom. SQLite; one row per object, written through before anything is done.

Secrets are not among it. Blocking: for worker threads.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from runtime.volume.driver import Access, Volume
from runtime.volume.wants import OwnVolume

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE volumes (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mounts (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class MountRecord:
    """A volume that is mounted, or about to be, or about not to be any more.

    `key`: what it is for its users; one is mounted at a time. `path`: where, empty before it is.
    `guarded`: a guardian was started for it, or was about to be. `boot`: in which boot that was.
    """

    id: str
    key: str
    driver: str
    volume: Volume
    boot: str
    users: tuple[str, ...] = ()
    guarded: bool = False
    path: str = ""


class Records:
    """One host's file; made with the folder it is in. REFUSED if it is damaged or of a later
    version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
                )
            elif version != SCHEMA_VERSION:
                raise self._error(f"it is of version {version}, this daemon knows {SCHEMA_VERSION}")
        except sqlite3.Error as error:
            raise self._error(str(error)) from error

    def volumes(self) -> list[OwnVolume]:
        """Every volume of the host's own."""
        return [OwnVolume(**content) for content in self._all("volumes")]

    def mounts(self) -> list[MountRecord]:
        """Every mount."""
        return [_mount_of(content) for content in self._all("mounts")]

    def keep_volume(self, volume: OwnVolume) -> None:
        """It is there from now on."""
        self._keep("volumes", volume.name, asdict(volume))

    def drop_volume(self, name: str) -> None:
        """It is there no more."""
        self._write("DELETE FROM volumes WHERE name = ?", (name,))

    def keep_mount(self, mount: MountRecord) -> None:
        """It is as this says."""
        content = asdict(replace(mount, volume=replace(mount.volume, secrets={})))
        content["volume"]["access"] = mount.volume.access.value
        self._keep("mounts", mount.id, content)

    def drop_mount(self, id: str) -> None:
        """It is there no more."""
        self._write("DELETE FROM mounts WHERE id = ?", (id,))

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def _keep(self, table: str, key: str, content: Mapping[str, Any]) -> None:
        statement = f"INSERT OR REPLACE INTO {table} VALUES (?, ?)"  # noqa: S608 - names of ours
        self._write(statement, (key, json.dumps(content)))

    def _write(self, statement: str, values: tuple[str, ...]) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise SwarmError(
                Code.UNAVAILABLE,
                f"the volumes of this host cannot be noted in {self._path}",
                why=str(error),
                remedy="check the free space and the health of its disk",
            ) from error

    def _all(self, table: str) -> list[dict[str, Any]]:
        try:
            rows = self._db.execute(f"SELECT content FROM {table}").fetchall()  # noqa: S608
            return [json.loads(content) for (content,) in rows]
        except (sqlite3.Error, ValueError) as error:
            raise self._error(str(error)) from error

    def _error(self, why: str) -> SwarmError:
        return SwarmError(
            Code.REFUSED,
            f"what this host knows of its volumes cannot be read from {self._path}",
            why=why,
            remedy="end every container that has a volume and move the file away: the data of "
            "volumes is not in it",
        )


def _mount_of(content: dict[str, Any]) -> MountRecord:
    volume = content.pop("volume")
    volume["access"] = Access(volume["access"])
    users = tuple(content.pop("users"))
    return MountRecord(volume=Volume(**volume), users=users, **content)
