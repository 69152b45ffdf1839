"""Containers of tasks with volumes of their node, for real."""

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from api.v1 import logs_pb2, objects_pb2, specs_pb2
from hostkit import clock
from runtime.conmon_driver import ConmonDriver
from runtime.volume.host import VolumeHost
from tests.support.log_pieces import whole_lines
from tests.support.plain_mount import VolumeBox
from tests.support.task_host import OBEYS, Host
from tests.support.until import until
from worker.container import ContainerExecutor
from worker.volumes import Volumes

pytestmark = pytest.mark.root

Mount = specs_pb2.Mount
ALL = logs_pb2.LogOptions(tail=-1)


@pytest.fixture
def box() -> Iterator[VolumeBox]:
    with tempfile.TemporaryDirectory() as folder:
        made = VolumeBox(Path(folder))
        try:
            yield made
        finally:
            made.clear()


def volume(source: str = "", target: str = "/data", **fields: Any) -> Mount:
    return Mount(type=Mount.TYPE_VOLUME, source=source, target=target, **fields)


def run(host: Host, box: VolumeBox, scenario: Any) -> Any:
    async def whole(driver: ConmonDriver) -> Any:
        volumes = Volumes(box.host(), clock.boot)
        await volumes.host.recover((), ())
        executor = host.executor(driver, volumes)
        try:
            return await scenario(executor, volumes.host)
        finally:
            await volumes.close()

    return host.box.run(whole)


def _task(host: Host, *command: str, mounts: Sequence[Mount]) -> objects_pb2.Task:
    made = host.task(*command)
    made.spec.container.mounts.extend(mounts)
    return made


async def through(executor: ContainerExecutor, task: objects_pb2.Task) -> tuple[int, list[str]]:
    """Runs a task to its end: its exit code, and what it wrote."""
    await executor.prepare(task)
    await executor.start(task)
    end = await executor.wait(task)
    return end.code, whole_lines([line async for line in executor.logs(task, ALL)])


def test_a_named_volume_keeps_what_one_task_wrote_for_the_next(host: Host, box: VolumeBox) -> None:
    async def scenario(executor: ContainerExecutor, volumes: VolumeHost) -> None:
        writer = _task(host, "sh", "-c", "echo hello >/data/file", mounts=[volume("data")])
        reader = _task(
            host,
            "sh",
            "-c",
            "cat /data/file; echo x >/data/y",
            mounts=[volume("data", read_only=True)],
        )
        assert await through(executor, writer) == (0, [])
        code, lines = await through(executor, reader)
        assert code != 0
        assert lines[0] == "hello"
        assert "Read-only file system" in lines[1]
        for each in (writer, reader):
            await executor.remove(each)
        assert [each.name for each in volumes.own.every()] == ["data"]

    run(host, box, scenario)


def test_anonymous_volumes_go_with_their_container(host: Host, box: VolumeBox) -> None:
    async def scenario(executor: ContainerExecutor, volumes: VolumeHost) -> None:
        task = _task(
            host, "sh", "-c", "ls -a /data /bin2 | wc -l", mounts=[volume(), volume(target="/bin2")]
        )
        assert (await through(executor, task))[0] == 0
        assert len(volumes.own.every()) == 2
        await executor.remove(task)
        assert volumes.own.every() == []
        assert list((box.root / "volumes").iterdir()) == []

    run(host, box, scenario)


@pytest.mark.parametrize("no_copy", [False, True])
def test_an_empty_volume_gets_what_the_image_has(host: Host, box: VolumeBox, no_copy: bool) -> None:
    async def scenario(executor: ContainerExecutor, _: VolumeHost) -> None:
        mount = volume("etc", "/etc", volume_no_copy=no_copy)
        task = _task(host, "true", mounts=[mount])
        await through(executor, task)
        names = {each.name for each in (box.root / "volumes/etc/_data").iterdir()}
        assert ("passwd" in names) is not no_copy
        await executor.remove(task)

    run(host, box, scenario)


def test_a_subpath_of_a_volume(host: Host, box: VolumeBox) -> None:
    async def scenario(executor: ContainerExecutor, _: VolumeHost) -> None:
        maker = _task(host, "sh", "-c", "mkdir -p /data/a/b", mounts=[volume("data")])
        writer = _task(
            host,
            "sh",
            "-c",
            "echo x >/sub/file",
            mounts=[volume("data", "/sub", volume_subpath="a/b")],
        )
        for each in (maker, writer):
            assert (await through(executor, each))[0] == 0
            await executor.remove(each)

    run(host, box, scenario)
    assert (box.root / "volumes/data/_data/a/b/file").read_text() == "x\n"
    assert box.mounts() == []


def test_a_container_that_lost_a_volume_is_started_again(host: Host, box: VolumeBox) -> None:
    async def scenario(executor: ContainerExecutor, volumes: VolumeHost) -> None:
        task = _task(host, *OBEYS, mounts=[volume("data", volume_driver="plain")])
        await executor.prepare(task)
        await executor.start(task)
        (guardian,) = box.guardians()
        os.kill(guardian, signal.SIGKILL)
        await until(lambda: bool(volumes.why(task.id)))
        await executor.terminate(task)
        assert "was let go" in (await executor.wait(task)).message
        await executor.renew(task)
        assert volumes.why(task.id) == ""
        assert (await executor.start(task)).pid
        await executor.terminate(task)
        assert (await executor.wait(task)).message == ""
        await executor.remove(task)

    run(host, box, scenario)


def test_a_volume_that_cannot_be_had_leaves_nothing_of_the_task(host: Host, box: VolumeBox) -> None:
    async def scenario(executor: ContainerExecutor, volumes: VolumeHost) -> None:
        wrong = volume("data", volume_options={"type": "nosuchfs", "device": "x"})
        with pytest.raises(Exception, match="no file system nosuchfs"):
            await executor.prepare(_task(host, "true", mounts=[wrong]))
        assert volumes.mounted_keys() in ([], ["own/data"])

    run(host, box, scenario)
    assert box.mounts() == []


def test_a_task_that_cannot_be_started_leaves_its_volumes(host: Host, box: VolumeBox) -> None:
    async def scenario(executor: ContainerExecutor, volumes: VolumeHost) -> None:
        task = _task(host, "true", mounts=[volume("data")])
        await executor.prepare(task)
        assert volumes.users("own/data") == (task.id,)
        (host.box.run_dir / "oci" / task.id / "exec.fifo").unlink()  # the runtime needs it
        with pytest.raises(SwarmError, match="cannot be started"):
            await executor.start(task)
        assert volumes.users("own/data") == ()

    run(host, box, scenario)
    assert box.mounts() == []
