"""Statuses are kept until a manager has them, and sent in batches."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.states import FAILED, RUNNING, STARTING
from api.v1 import objects_pb2
from hostkit.together import alongside
from worker import reporter
from worker.reporter import Reporter, Update
from worker.storage import Storage

Scenario = Callable[[Reporter, Storage], Awaitable[Any]]
AWAY = SwarmError(Code.UNAVAILABLE, "no leader")


def status(state: Any) -> objects_pb2.TaskStatus:
    return objects_pb2.TaskStatus(state=state)


class Line:
    """A line to a manager: takes batches until `failures` says no; can be held."""

    def __init__(self, expected: int) -> None:
        self.batches: list[dict[str, int]] = []
        self.failures: list[SwarmError] = []
        self.held = asyncio.Event()
        self.held.set()
        self.calls = 0
        self.enough = asyncio.Event()
        self._expected = expected

    async def send(self, updates: list[Update]) -> None:
        self.calls += 1
        await self.held.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append({update.task_id: update.status.state for update in updates})
        if sum(map(len, self.batches)) >= self._expected:
            self.enough.set()


def run(path: Path, scenario: Scenario) -> None:
    async def all_of_it() -> None:
        storage = await Storage.open(path / "db")
        try:
            tasks = [objects_pb2.Task(id=name) for name in "abcdefgh"]
            await storage.assign(tasks, [])
            found = Reporter(storage)
            await alongside(scenario(found, storage), found.save())  # type: ignore[arg-type]
        finally:
            await storage.close()

    asyncio.run(asyncio.wait_for(all_of_it(), 30))


async def delivered(found: Reporter, line: Line) -> None:
    await alongside(found.deliver(line.send), line.enough.wait())


def test_a_lone_status_goes_at_once_and_others_gather_behind_a_call(tmp_path: Path) -> None:
    async def scenario(found: Reporter, _: Storage) -> None:
        line = Line(expected=4)
        line.held.clear()

        async def reports() -> None:
            found.report("a", status(RUNNING))
            while not line.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            for name in "bcd":
                found.report(name, status(STARTING))
            while found._unsaved:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            line.held.set()
            await line.enough.wait()

        await alongside(found.deliver(line.send), reports())
        assert line.batches == [{"a": RUNNING}, {"b": STARTING, "c": STARTING, "d": STARTING}]

    run(tmp_path, scenario)


def test_what_was_not_acknowledged_is_sent_again(tmp_path: Path) -> None:
    async def scenario(found: Reporter, storage: Storage) -> None:
        found.report("a", status(FAILED))
        line = Line(expected=1)
        line.failures = [AWAY]
        with pytest.raises(SwarmError, match="no leader"):
            await delivered(found, line)
        assert (await storage.load()).unacknowledged == {"a"}
        await delivered(found, line)
        assert line.batches == [{"a": FAILED}]

    run(tmp_path, scenario)


def test_of_two_statuses_the_later_goes(tmp_path: Path) -> None:
    async def scenario(found: Reporter, storage: Storage) -> None:
        for state in (STARTING, RUNNING, FAILED):
            found.report("a", status(state))
        line = Line(expected=1)
        await delivered(found, line)
        assert line.batches == [{"a": FAILED}]
        assert (await storage.load()).statuses == {"a": status(FAILED)}

    run(tmp_path, scenario)


def test_a_status_that_came_up_during_the_call_is_not_taken_as_acknowledged(
    tmp_path: Path,
) -> None:
    async def scenario(found: Reporter, storage: Storage) -> None:
        line = Line(expected=2)
        line.held.clear()

        async def reports() -> None:
            found.report("a", status(RUNNING))
            while not line.calls:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            found.report("a", status(FAILED))
            while found._unsaved:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            line.held.set()
            await line.enough.wait()
            while (await storage.load()).unacknowledged:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        await alongside(found.deliver(line.send), reports())
        assert line.batches == [{"a": RUNNING}, {"a": FAILED}]

    run(tmp_path, scenario)


def test_forgotten_tasks_are_not_reported(tmp_path: Path) -> None:
    async def scenario(found: Reporter, _: Storage) -> None:
        found.restore({"a": status(FAILED), "b": status(FAILED)})
        found.report("c", status(RUNNING))
        found.report("d", status(RUNNING))
        found.forget(["a", "c"])
        line = Line(expected=2)
        await delivered(found, line)
        assert {name for batch in line.batches for name in batch} == {"b", "d"}

    run(tmp_path, scenario)


def test_a_batch_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "MAX_BATCH", 3)

    async def scenario(found: Reporter, _: Storage) -> None:
        found.restore({name: status(FAILED) for name in "abcdefgh"})
        line = Line(expected=8)
        await delivered(found, line)
        assert [len(batch) for batch in line.batches] == [3, 3, 2]

    run(tmp_path, scenario)


def test_a_full_disk_does_not_silence_the_node(tmp_path: Path) -> None:
    async def scenario(found: Reporter, storage: Storage) -> None:
        storage._db.execute("PRAGMA query_only = 1")
        found.report("a", status(FAILED))
        line = Line(expected=1)
        await delivered(found, line)
        assert line.batches == [{"a": FAILED}]

    run(tmp_path, scenario)
