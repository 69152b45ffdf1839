"""Leaving: every task ends with its grace, everything is forgotten, and a crash is made good."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import objects_pb2
from swarmctl.departure import depart, forget_tasks
from swarmctl.membership import MembershipStore
from tests.support.fake_executor import FakeExecutor
from tests.support.members import MEMBERSHIP, credentials
from worker.node_networks import NoNetworks
from worker.storage import AGENT_FILE, Storage


def a_member(state_dir: Path) -> MembershipStore:
    store = MembershipStore(state_dir)
    store.save_credentials(credentials())
    store.save(MEMBERSHIP)
    return store


async def remember(state_dir: Path, *task_ids: str) -> None:
    storage = await Storage.open(state_dir / AGENT_FILE)
    await storage.assign([objects_pb2.Task(id=each) for each in task_ids], [])
    await storage.close()


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_all_tasks_end_and_nothing_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, executor = a_member(tmp_path), FakeExecutor()
        executor.run("known")
        executor.run("unknown")
        await remember(tmp_path, "known", "without a container")
        store.resign()
        await depart(executor, NoNetworks(), store, tmp_path)
        assert executor.containers == {}
        assert executor.steps("known") == ["shutdown", "remove"]
        assert names_in(tmp_path) == []

    asyncio.run(scenario())


def test_a_departure_that_was_cut_off_can_be_taken_up_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, executor = a_member(tmp_path), FakeExecutor()
        executor.run("slow")
        executor.gates["shutdown"] = asyncio.Event()
        await remember(tmp_path, "slow")
        store.resign()
        cut_off = asyncio.create_task(depart(executor, NoNetworks(), store, tmp_path))
        while not executor.under_way:  # noqa: ASYNC110 - storage has no event for it
            await asyncio.sleep(0)
        cut_off.cancel()
        await asyncio.gather(cut_off, return_exceptions=True)
        again = MembershipStore(tmp_path)
        assert (again.load(), again.is_leaving()) == (None, True)
        executor.gates.clear()
        await depart(executor, NoNetworks(), again, tmp_path)
        assert (executor.containers, again.is_leaving()) == ({}, False)

    asyncio.run(scenario())


def test_a_task_that_cannot_be_ended_and_a_damaged_memory_hold_nobody_up(tmp_path: Path) -> None:
    class Stubborn(FakeExecutor):
        async def remove(self, task: objects_pb2.Task) -> None:
            if task.id == "stubborn":
                raise SwarmError(Code.INTERNAL, "it will not go")
            await super().remove(task)

    async def scenario() -> None:
        store, executor = a_member(tmp_path), Stubborn()
        executor.run("stubborn")
        executor.run("meek")
        (tmp_path / AGENT_FILE).write_bytes(b"no database" * 100)
        store.resign()
        await depart(executor, NoNetworks(), store, tmp_path)
        assert list(executor.containers) == ["stubborn"]
        assert names_in(tmp_path) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("names", [[], [AGENT_FILE, f"{AGENT_FILE}-wal", f"{AGENT_FILE}-shm"]])
def test_what_an_agent_remembers_is_forgotten_with_its_side_files(
    tmp_path: Path, names: list[str]
) -> None:
    for name in [*names, "images"]:
        (tmp_path / name).touch()
    forget_tasks(tmp_path)
    assert names_in(tmp_path) == ["images"]
