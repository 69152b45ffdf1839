"""The volumes of a node over real mounts: leases first, and what managers hear of it."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api import states
from api.errors import SwarmError
from api.v1 import dispatcher_pb2, objects_pb2, specs_pb2, volume_pb2
from hostkit.clock import boot
from tests.support.plain_mount import VolumeBox
from tests.support.until import until, until_true
from worker import volumes as module
from worker.executor import TemporaryError
from worker.volumes import Volumes

pytestmark = pytest.mark.root

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Mount = specs_pb2.Mount
Status = volume_pb2.NodeVolumeStatus
TERM = 60


@pytest.fixture
def box(tmp_path: Path) -> Iterator[VolumeBox]:
    made = VolumeBox(tmp_path)
    try:
        yield made
    finally:
        made.clear()


def task(task_id: str = "c1", volume_id: str = "v1") -> objects_pb2.Task:
    made = objects_pb2.Task(id=task_id)
    made.spec.container.mounts.add(type=Mount.TYPE_CLUSTER, source="data", target="/data")
    made.volumes.add(volume_id=volume_id, source="data", epoch=1)
    return made


def told(*, version: int = 1, volume_id: str = "v1", term: int = TERM) -> Message:
    made = Message(type=Message.TYPE_COMPLETE, version=version)
    item = volume_pb2.NodeVolume(id=volume_id, name="data", driver="plain", epoch=1)
    item.term.seconds = term
    made.changes.add(action=Change.ACTION_UPDATE, volume=item)
    return made


def taken_back(version: int = 2) -> Message:
    made = Message(version=version)
    item = volume_pb2.NodeVolume(id="v1", epoch=1)
    made.changes.add(action=Change.ACTION_REMOVE, volume=item)
    return made


class Words:
    """What managers were told."""

    def __init__(self) -> None:
        self.states: list[int] = []
        self.errors: list[str] = []

    async def __call__(self, updates: list[Status]) -> None:
        self.states += [update.state for update in updates]
        self.errors += [update.error for update in updates if update.error]


def run(box: VolumeBox, scenario: Callable[[Volumes, Words], Awaitable[None]], *alive: str) -> None:
    async def whole() -> None:
        host, words = box.host(), Words()
        await host.recover(alive, alive)
        volumes = Volumes(host, boot)
        volumes.restore(())
        delivering = asyncio.create_task(volumes.deliver(words))
        try:
            await scenario(volumes, words)
        finally:
            delivering.cancel()
            await volumes.close()

    asyncio.run(whole())


async def joined(volumes: Volumes, given: objects_pb2.Task) -> Path:
    found = await volumes.join(given, given.spec.container, {})
    return Path(found.mounts[0].source)


def test_a_task_waits_for_the_first_renewal_and_the_last_one_lets_go(box: VolumeBox) -> None:
    async def scenario(volumes: Volumes, words: Words) -> None:
        volumes.follow(told())
        joining = asyncio.create_task(joined(volumes, task()))
        await asyncio.sleep(0.1)
        assert box.mounts() == [], "no lease lasts yet"
        volumes.renew(boot(), 1)
        path = await joining
        assert box.mounts() == [path]
        await until(lambda: words.states == [Status.STATE_MOUNTED])
        volumes.follow(taken_back())
        await asyncio.sleep(0.1)
        assert box.mounts() == [path], "its container may still run"
        await volumes.leave("c1")
        await until(lambda: words.states == [Status.STATE_MOUNTED, Status.STATE_UNMOUNTED])
        assert (box.mounts(), box.guardians()) == ([], set())
        assert not volumes.has_leases()

    run(box, scenario)


def test_a_task_takes_its_turn_when_the_one_before_it_has_left(
    box: VolumeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(volumes: Volumes, _: Words) -> None:
        given = told()
        given.changes[0].volume.sharing = specs_pb2.VolumeSpec.SHARING_NONE
        for name in ("c1", "c2"):
            given.changes.add(action=Change.ACTION_UPDATE, task=task(name))
        volumes.follow(given)
        volumes.renew(boot(), 1)
        for name in ("c1", "c2"):
            await joined(volumes, task(name))
        await volumes.take_turn(task("c2"))
        ending = Message(type=Message.TYPE_INCREMENTAL, version=2)
        ending.changes.add(action=Change.ACTION_UPDATE, task=task("c1"))
        ending.changes[0].task.desired_state = states.SHUTDOWN
        volumes.follow(ending)
        monkeypatch.setattr(module, "_PATIENCE", 0.1)
        with pytest.raises(TemporaryError, match="task c1, which is to end"):
            await volumes.take_turn(task("c2"))
        monkeypatch.undo()
        waiting = asyncio.create_task(volumes.take_turn(task("c2")))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await volumes.leave("c1")
        await waiting
        await volumes.leave("c2")

    run(box, scenario)


def test_a_block_device_is_not_filled_and_has_no_subpaths(box: VolumeBox) -> None:
    async def scenario(volumes: Volumes, _: Words) -> None:
        given = told()
        given.changes[0].volume.block = True
        volumes.follow(given)
        volumes.renew(boot(), 1)
        for name in ("data", "folder"):
            (box.storage / name).mkdir(parents=True, exist_ok=True)
        asked = task()
        found = await volumes.join(asked, asked.spec.container, {})
        assert found.devices == (Path(found.mounts[0].source),)
        assert found.fills == ()
        asked.spec.container.mounts[0].volume_subpath = "folder"
        with pytest.raises(SwarmError, match="is a block device"):
            await volumes.join(asked, asked.spec.container, {})
        await volumes.leave("c1")

    run(box, scenario)


def test_without_a_lease_a_task_says_why_it_waits(
    box: VolumeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)

    async def scenario(volumes: Volumes, _: Words) -> None:
        with pytest.raises(TemporaryError, match="is not on this node"):
            await joined(volumes, task())
        volumes.follow(told())
        volumes.renew(boot() - TERM, 1)
        with pytest.raises(TemporaryError, match="no manager answers heartbeats"):
            await joined(volumes, task())
        assert box.mounts() == []

    run(box, scenario)


def test_what_cannot_be_mounted_is_told(box: VolumeBox) -> None:
    async def scenario(volumes: Volumes, words: Words) -> None:
        volumes.follow(told(volume_id="missing"))
        volumes.renew(boot(), 1)
        with pytest.raises(SwarmError, match="false has ended"):
            await joined(volumes, task(volume_id="missing"))
        await until(lambda: words.states == [Status.STATE_FAILED])
        assert "false has ended" in words.errors[0]
        await volumes.leave("c1")
        await until(lambda: box.guardians() == set())

    run(box, scenario)
    assert box.mounts() == []


def test_what_was_lost_is_let_go_by_its_guardian_and_told(box: VolumeBox) -> None:
    async def scenario(volumes: Volumes, words: Words) -> None:
        volumes.follow(told(term=8))
        joining = asyncio.create_task(joined(volumes, task()))
        while not joining.done():  # the making of the mount is no part of the lease
            volumes.renew(boot(), 1)
            await asyncio.sleep(0.1)
        await joining
        volumes.follow(Message(type=Message.TYPE_COMPLETE, version=2))
        volumes.renew(boot(), 2)
        await asyncio.to_thread(until_true, lambda: not box.guardians(), "it lets go")
        await until(lambda: "its lease ran out" in volumes.why("c1"))
        await volumes.leave("c1")
        await until(lambda: words.states[-1:] == [Status.STATE_UNMOUNTED])

    run(box, scenario)
    assert box.mounts() == []


def test_who_lost_a_volume_begins_anew_with_it(box: VolumeBox) -> None:
    async def scenario(volumes: Volumes, _: Words) -> None:
        volumes.follow(told())
        volumes.renew(boot(), 1)
        await joined(volumes, task())
        (guardian,) = box.guardians()
        os.kill(guardian, signal.SIGKILL)
        await until(lambda: bool(volumes.why("c1")))
        await volumes.leave("c1")
        assert await joined(volumes, task()) == box.mounts()[0]
        assert volumes.why("c1") == ""
        await volumes.leave("c1")

    run(box, scenario)


def test_the_next_daemon_renews_what_the_managers_still_know(box: VolumeBox) -> None:
    async def first(volumes: Volumes, _: Words) -> None:
        volumes.follow(told())
        volumes.renew(boot(), 1)
        await joined(volumes, task())

    async def second(volumes: Volumes, words: Words) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await joined(volumes, task("c2"))
        volumes.follow(told(version=7))
        volumes.renew(boot(), 7)
        assert await joined(volumes, task("c2")) == box.mounts()[0]
        for each in ("c1", "c2"):
            await volumes.leave(each)
        volumes.follow(taken_back(version=8))
        await until(lambda: words.states[-1:] == [Status.STATE_UNMOUNTED])

    run(box, first)
    run(box, second, "c1")
    assert (box.mounts(), box.guardians()) == ([], set())


def test_the_drivers_that_work_are_told(box: VolumeBox) -> None:
    async def scenario(volumes: Volumes, _: Words) -> None:
        found = await volumes.drivers()
        assert [(each.name, each.local) for each in found] == [("local", True), ("plain", False)]

    run(box, scenario)
