"""What a node must still know after its daemon was killed: tasks, their statuses, the managers,
and what these told of networks.

SQLite with a write-ahead log, written by one thread; writes that arrive while it is busy go
together in one transaction. A write that has returned survives the death of the daemon, and of the
machine unless it was only an acknowledgement: to report twice does no harm, to report never does.

Decides nothing: what to keep and what to report is the agent's affair.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from api.errors import Code, SwarmError
from api.v1 import dispatcher_pb2, objects_pb2
from worker.logins import for_the_disk
from worker.network_book import Item, News, change_of, item_of, key_of

ManagerAddress = dispatcher_pb2.ManagerAddress
Task = objects_pb2.Task
TaskStatus = objects_pb2.TaskStatus
M = TypeVar("M", bound=Message)

AGENT_FILE = "agent.db"
"""Its name in the state directory of a daemon."""
SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE tasks (id TEXT PRIMARY KEY, task BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE statuses (
    task_id TEXT PRIMARY KEY, status BLOB NOT NULL, acknowledged INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE managers (address TEXT PRIMARY KEY, manager BLOB NOT NULL) WITHOUT ROWID;
"""
_SINCE_1 = "CREATE TABLE networks (key TEXT PRIMARY KEY, item BLOB NOT NULL) WITHOUT ROWID;"
"""What a file of version 1 lacks."""

Statement = tuple[str, tuple[str | bytes | int, ...]]


@dataclass(frozen=True, slots=True)
class Saved:
    """All there is. `statuses`: as the node last observed; a task may have none of its own."""

    tasks: dict[str, Task]
    statuses: dict[str, TaskStatus]
    unacknowledged: frozenset[str]
    managers: list[ManagerAddress]
    networks: list[Item]

    def last_seen(self, task_id: str) -> Task:
        """A task, with the status that the node observed last, if it did."""
        task = Task()
        task.CopyFrom(self.tasks[task_id])
        task.status.CopyFrom(self.statuses.get(task_id, task.status))
        return task


@dataclass(slots=True)
class _Write:
    statements: Sequence[Statement]
    durable: bool
    done: asyncio.Future[None]


class Storage:
    """One node's file. Open it, use it within one event loop, close it."""

    def __init__(self, path: Path, thread: ThreadPoolExecutor, db: sqlite3.Connection) -> None:
        self._path = path
        self._thread = thread
        self._db = db
        self._queue: list[_Write] = []
        self._writer: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path) -> "Storage":
        """Opens the file, or makes it (mode 0600: specs may hold passwords).

        REFUSED if it is damaged or of a later version.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="storage")
        try:
            db = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(path, thread, db)

    async def load(self) -> Saved:
        """Everything that was kept."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def assign(self, tasks: Iterable[Task], removed: Iterable[str]) -> None:
        """Keeps the tasks as assigned, but for the logins of registries, and forgets the removed
        ones with their statuses.
        """
        statements: list[Statement] = []
        for task_id in removed:
            statements.append(("DELETE FROM tasks WHERE id = ?", (task_id,)))
            statements.append(("DELETE FROM statuses WHERE task_id = ?", (task_id,)))
        for task in map(for_the_disk, tasks):
            statements.append(
                ("INSERT OR REPLACE INTO tasks VALUES (?, ?)", (task.id, task.SerializeToString()))
            )
        await self._write(statements)

    async def record(self, statuses: Mapping[str, TaskStatus]) -> None:
        """Keeps statuses that no manager has acknowledged; those of unknown tasks are dropped."""
        await self._write(
            [
                (
                    "INSERT OR REPLACE INTO statuses SELECT id, ?, 0 FROM tasks WHERE id = ?",
                    (status.SerializeToString(), task_id),
                )
                for task_id, status in statuses.items()
            ]
        )

    async def acknowledge(self, statuses: Mapping[str, TaskStatus]) -> None:
        """Notes that a manager has these; a status that moved on since stays unacknowledged."""
        await self._write(
            [
                (
                    "UPDATE statuses SET acknowledged = 1 WHERE task_id = ? AND status = ?",
                    (task_id, status.SerializeToString()),
                )
                for task_id, status in statuses.items()
            ],
            durable=False,
        )

    async def keep_managers(self, managers: Iterable[ManagerAddress]) -> None:
        """Replaces the list of known managers."""
        statements: list[Statement] = [("DELETE FROM managers", ())]
        for manager in managers:
            value = (manager.address, manager.SerializeToString())
            statements.append(("INSERT OR REPLACE INTO managers VALUES (?, ?)", value))
        await self._write(statements)

    async def keep_networks(self, news: News) -> None:
        """Follows what changed of networks."""
        statements: list[Statement] = [
            ("DELETE FROM networks WHERE key = ?", (key.text,)) for key in news.removed
        ]
        for item in news.updated:
            value = (key_of(item).text, change_of(item).SerializeToString())
            statements.append(("INSERT OR REPLACE INTO networks VALUES (?, ?)", value))
        await self._write(statements)

    async def close(self) -> None:
        """Finishes what is being written."""
        if self._writer is not None:
            await asyncio.wait({self._writer})
        await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._thread.shutdown()

    # --- writing ----------------------------------------------------------------------------

    async def _write(self, statements: Sequence[Statement], *, durable: bool = True) -> None:
        if not statements:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append(_Write(statements, durable, done))
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._drain())
        await done

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            writes, self._queue = self._queue, []
            failure: SwarmError | None = None
            try:
                await loop.run_in_executor(self._thread, self._commit, writes)
            except sqlite3.Error as error:
                failure = SwarmError(
                    Code.UNAVAILABLE,
                    f"the node's state could not be written to {self._path}",
                    why=str(error),
                    remedy="check the free space and the health of its disk",
                )
            for write in writes:
                if write.done.done():  # its caller was cancelled
                    continue
                if failure is None:
                    write.done.set_result(None)
                else:
                    write.done.set_exception(failure)

    def _commit(self, writes: Sequence[_Write]) -> None:
        durable = any(write.durable for write in writes)
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for write in writes:
                for sql, values in write.statements:
                    self._db.execute(sql, values)

    # --- reading ----------------------------------------------------------------------------

    def _load(self) -> Saved:
        try:
            tasks = self._db.execute("SELECT id, task FROM tasks").fetchall()
            statuses = self._db.execute(
                "SELECT task_id, status, acknowledged FROM statuses"
            ).fetchall()
            managers = self._db.execute("SELECT manager FROM managers").fetchall()
            networks = self._db.execute("SELECT item FROM networks").fetchall()
            changes = (dispatcher_pb2.AssignmentChange.FromString(blob) for (blob,) in networks)
            return Saved(
                tasks={key: Task.FromString(blob) for key, blob in tasks},
                statuses={key: TaskStatus.FromString(blob) for key, blob, _ in statuses},
                unacknowledged=frozenset(key for key, _, known in statuses if not known),
                managers=[ManagerAddress.FromString(blob) for (blob,) in managers],
                networks=[item for item in map(item_of, changes) if item is not None],
            )
        except (sqlite3.Error, DecodeError) as error:
            raise _damaged(self._path, str(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its side files the mode of the main one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version < SCHEMA_VERSION:
            lacking = ("" if version else _SCHEMA) + _SINCE_1
            db.executescript(f"BEGIN; {lacking} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        elif version != SCHEMA_VERSION:
            raise SwarmError(
                Code.REFUSED,
                f"{path} has schema version {version}, and this daemon knows {SCHEMA_VERSION}",
                remedy="run the version of the daemon that wrote it, or a later one",
            )
    except sqlite3.Error as error:
        db.close()
        raise _damaged(path, str(error)) from error
    except BaseException:
        db.close()
        raise
    return db


def _damaged(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"the node's state in {path} cannot be read",
        why=why,
        remedy="move the file away: the managers send the node its tasks again, and containers "
        "that run are taken over",
    )
