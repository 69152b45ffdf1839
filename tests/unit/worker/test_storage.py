"""What is kept survives: a close, a kill at any moment, and several writers at once."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.states import FAILED, RUNNING
from api.v1 import dispatcher_pb2, objects_pb2
from worker.storage import Saved, Storage

ROOT = Path(__file__).parents[3]


def task(task_id: str) -> objects_pb2.Task:
    made = objects_pb2.Task(id=task_id, node_id="n")
    made.spec.container.image = "app:1"
    return made


def status(state: Any, message: str = "") -> objects_pb2.TaskStatus:
    return objects_pb2.TaskStatus(state=state, message=message)


def use(path: Path, scenario: Callable[[Storage], Awaitable[Any]]) -> Any:
    async def all_of_it() -> Any:
        storage = await Storage.open(path)
        try:
            return await scenario(storage)
        finally:
            await storage.close()

    return asyncio.run(all_of_it())


def load(path: Path) -> Saved:
    saved: Saved = use(path, lambda storage: storage.load())
    return saved


def test_everything_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "worker" / "tasks.db"
    manager = dispatcher_pb2.ManagerAddress(node_id="m", address="m:2377", weight=3)

    async def scenario(storage: Storage) -> None:
        assert await storage.load() == Saved({}, {}, frozenset(), [], [])
        await storage.assign([task("a"), task("b")], [])
        await storage.record({"a": status(RUNNING), "b": status(FAILED, "it broke")})
        await storage.acknowledge({"a": status(RUNNING)})
        await storage.keep_managers([manager])

    use(path, scenario)
    saved = load(path)
    assert saved.tasks == {"a": task("a"), "b": task("b")}
    assert saved.statuses == {"a": status(RUNNING), "b": status(FAILED, "it broke")}
    assert saved.unacknowledged == {"b"}
    assert saved.managers == [manager]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "worker" / "tasks.db"

    async def modes(storage: Storage) -> list[int]:
        await storage.assign([task("a")], [])
        return [stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()]

    found = use(path, modes)
    assert len(found) > 1  # the write-ahead log too
    assert set(found) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_credentials_of_registries_are_in_no_file(tmp_path: Path) -> None:
    path = tmp_path / "worker" / "tasks.db"
    given = task("a")
    given.spec.container.registry_auth = "c2VjcmV0IGNyZWRlbnRpYWxz"

    async def contents(storage: Storage) -> bytes:
        await storage.assign([given], [])
        return b"".join(each.read_bytes() for each in path.parent.iterdir())

    written = use(path, contents)
    assert b"app:1" in written
    assert b"c2VjcmV0" not in written
    assert given.spec.container.registry_auth, "the task itself keeps them"


def test_a_later_status_is_not_acknowledged_with_an_earlier_one(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await storage.assign([task("a")], [])
        await storage.record({"a": status(RUNNING)})
        await storage.record({"a": status(FAILED)})
        await storage.acknowledge({"a": status(RUNNING)})

    use(tmp_path / "db", scenario)
    assert load(tmp_path / "db").unacknowledged == {"a"}


def test_a_removed_task_leaves_nothing_and_takes_nothing_in(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await storage.assign([task("a")], [])
        await storage.record({"a": status(RUNNING)})
        await storage.assign([task("b")], ["a", "never there"])
        await storage.record({"a": status(FAILED)})

    use(tmp_path / "db", scenario)
    saved = load(tmp_path / "db")
    assert (set(saved.tasks), saved.statuses) == ({"b"}, {})


def test_many_writers_share_transactions(tmp_path: Path) -> None:
    commits = 0

    async def scenario(storage: Storage) -> None:
        nonlocal commits
        commit = storage._commit

        def counted(writes: Any) -> None:
            nonlocal commits
            commits += 1
            commit(writes)

        storage._commit = counted  # type: ignore[method-assign]
        await asyncio.gather(*(storage.assign([task(f"t{i}")], []) for i in range(100)))

    use(tmp_path / "db", scenario)
    assert len(load(tmp_path / "db").tasks) == 100
    assert commits <= 3


def test_a_cancelled_writer_does_not_harm_the_others(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        first = asyncio.create_task(storage.assign([task("a")], []))
        second = asyncio.create_task(storage.assign([task("b")], []))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert first.cancelled() or first.done()

    use(tmp_path / "db", scenario)
    assert "b" in load(tmp_path / "db").tasks


CHILD = """
import asyncio, sys
from pathlib import Path
from api.v1 import objects_pb2
from worker.storage import Storage

async def main():
    storage = await Storage.open(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        task = objects_pb2.Task(id=f"t{number}")
        await storage.assign([task], [])
        await storage.record({task.id: objects_pb2.TaskStatus(state=512, message=str(number))})
        print(number, flush=True)

asyncio.run(main())
"""


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    try:
        lines = [child.stdout.readline() for _ in range(30)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    acknowledged = [line.strip() for line in lines if line.endswith("\n")]
    assert len(acknowledged) >= 30
    saved = load(path)
    for number in acknowledged:
        assert f"t{number}" in saved.tasks
        assert saved.statuses[f"t{number}"].message == number
    assert saved.unacknowledged == set(saved.statuses)


def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(SwarmError, match=r"cannot be read.*Move the file away") as caught:
        load(path)
    assert caught.value.code is Code.REFUSED


def test_a_damaged_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    use(path, lambda storage: storage.assign([task("a")], []))
    db = sqlite3.connect(path)
    db.execute("UPDATE tasks SET task = x'ff'")
    db.commit()
    db.close()
    with pytest.raises(SwarmError, match="cannot be read"):
        load(path)


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    load(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    with pytest.raises(SwarmError, match="schema version 99"):
        load(path)


def test_a_full_disk_is_told_to_every_writer(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        storage._db.execute("PRAGMA max_page_count = 4")
        big = task("a")
        big.spec.container.env.append("X" * 100_000)
        with pytest.raises(SwarmError, match=r"could not be written.*full"):
            await storage.assign([big], [])
        await storage.record({})  # and it goes on

    use(tmp_path / "db", scenario)
    assert load(tmp_path / "db").tasks == {}
