"""The executor over real containers and a real image store, and an agent on top of both."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from api.errors import Code, SwarmError
from api.payloads import Content
from api.states import HEALTHY, UNCHECKED, UNPROVEN
from api.times import duration, seconds_of
from api.v1 import logs_pb2, objects_pb2, specs_pb2
from hostkit import clock
from runtime.conmon_driver import ConmonDriver
from runtime.driver import MOUNTED_LABEL, ContainerRequest
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from tests.support.images import busybox_archive
from tests.support.task_host import OBEYS, Host
from worker.container import ContainerExecutor
from worker.executor import TemporaryError
from worker.logins import for_the_disk
from worker.node_networks import NoNetworks

pytestmark = pytest.mark.root

SLEEP = ("sleep", "1000")


async def lines(executor: ContainerExecutor, task: objects_pb2.Task, **options: Any) -> list[bytes]:
    given = logs_pb2.LogOptions(**({"tail": -1} | options))
    return [message.data async for message in executor.logs(task, given)]


async def up(executor: ContainerExecutor, task: objects_pb2.Task) -> None:
    """Starts a task and waits for its first line."""
    await executor.prepare(task)
    await executor.start(task)
    async for _ in executor.logs(task, logs_pb2.LogOptions(follow=True, tail=-1)):
        return


def test_the_node_is_described(host: Host) -> None:
    found: objects_pb2.NodeDescription = host.run(lambda executor: executor.describe())
    assert found.hostname
    assert found.platform.os == "linux"
    assert found.platform.architecture in ("amd64", "arm64")
    assert found.resources.nano_cpus >= 1_000_000_000
    assert found.resources.memory_bytes > 1 << 28
    assert (found.engine.version, dict(found.engine.labels)) == ("1.2", {"disk": "ssd"})
    assert found.engine.runtime.split()[0] in ("crun", "runc")
    assert found.address == "10.0.0.1"


def test_a_whole_life_with_a_pull(host: Host) -> None:
    task = host.task("sh", "-c", "echo out; echo err >&2; hostname >/dev/null; exit 4")

    async def scenario(executor: ContainerExecutor) -> None:
        await executor.prepare(task)
        await executor.prepare(task)
        started = await executor.start(task)
        assert started.container_id == task.id
        assert started.pid > 1
        end = await executor.wait(task)
        assert (end.code, end.oom_killed) == (4, False)
        again = await executor.start(task)
        assert again.container_id == task.id
        assert (await executor.wait(task)).code == 4
        assert sorted(await lines(executor, task)) == [b"err", b"out"]
        stderr = logs_pb2.LogOptions.STREAM_STDERR
        assert await lines(executor, task, streams=[stderr]) == [b"err"]
        assert await lines(executor, task, tail=0) == []
        end_again = await executor.shutdown(task)
        assert end_again is not None
        assert end_again.code == 4
        await executor.remove(task)
        await executor.remove(task)
        with pytest.raises(SwarmError) as caught:
            await executor.wait(task)
        assert caught.value.code is Code.NOT_FOUND

    host.run(scenario)


def test_a_pull_tells_how_much_has_come(host: Host, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fresh = dataclasses.replace(host, images=tmp_path / "no-images")
    task = host.task("true")
    fresh.run(lambda executor: executor.prepare(task, lambda *so_far: told.append(so_far)))
    came, total = told[-1]
    assert came == total > 0


def test_a_log_message_says_whose_it_is(host: Host) -> None:
    task = host.task("echo", "hello")

    async def scenario(executor: ContainerExecutor) -> logs_pb2.LogMessage:
        await executor.start(task)
        await executor.wait(task)
        async for message in executor.logs(task, logs_pb2.LogOptions(tail=-1)):
            return message
        raise AssertionError

    found = host.run(scenario)
    assert (found.service_id, found.task_id, found.node_id) == ("s", task.id, "n")
    assert (found.data, found.partial) == (b"hello", False)
    assert found.stream == logs_pb2.LogOptions.STREAM_STDOUT
    assert abs(found.at.seconds - clock.wall()) < 600


def test_an_image_is_pulled_to_be_mounted_and_stays_while_it_is(host: Host) -> None:
    task = host.task("ls", "/i/etc/passwd", "/passwd")
    kind = specs_pb2.Mount.TYPE_IMAGE
    mounts = task.spec.container.mounts
    mounts.add(type=kind, source=host.reference, target="/i")
    mounts.add(type=kind, source=host.reference, target="/passwd", image_subpath="etc/passwd")

    async def run(driver: ConmonDriver) -> None:
        executor = host.executor(driver)
        await executor.prepare(task)
        await executor.start(task)
        assert (await executor.wait(task)).code == 0
        assert await lines(executor, task) == [b"/i/etc/passwd", b"/passwd"]
        state = await driver.state(task.id)
        assert state.labels[MOUNTED_LABEL] == (await executor.image(task.spec.container)).id
        await executor.remove(task)
        mounts[0].source = "registry.invalid/none:1"
        with pytest.raises(SwarmError, match="No such image"):
            await executor.prepare(task)

    host.box.run(run)


def test_health(host: Host) -> None:
    script = "trap 'exit 3' TERM; touch /tmp/well; echo up; while :; do sleep 0.01; done"
    task = host.task("sh", "-c", script)
    task.spec.container.health.test.extend(("CMD-SHELL", "test -e /tmp/well && echo I am"))
    task.spec.container.health.interval.CopyFrom(duration(0.01))

    async def scenario(executor: ContainerExecutor) -> None:
        await executor.prepare(task)
        for _ in range(2):
            started = await executor.start(task)
            assert started.health == UNPROVEN
            # The first probe, put off by a tenth at most, and the default of three of 30 s.
            assert seconds_of(started.unproven_at_most) == pytest.approx(90 + 0.011 + 0.02)
        await up(executor, task)
        health = await executor.health(task, UNPROVEN)
        assert health is not None
        assert (health.state, health.reason) == (HEALTHY, "")
        assert (health.log[-1].exit_code, health.log[-1].output) == (0, "I am\n")
        probing = asyncio.create_task(executor.health(task, HEALTHY))
        end = await executor.shutdown(task)
        assert end is not None
        assert end.code == 3
        assert await probing is None

    host.run(scenario)


def test_a_task_without_a_check_has_no_health(host: Host) -> None:
    task = host.task(*OBEYS)

    async def scenario(executor: ContainerExecutor) -> None:
        await up(executor, task)
        started = await executor.start(task)
        assert started.health == UNCHECKED
        assert not started.HasField("unproven_at_most")
        assert await executor.health(task, UNPROVEN) is None

    host.run(scenario)


def test_a_shutdown_asks_first(host: Host) -> None:
    task = host.task(*OBEYS)

    async def scenario(executor: ContainerExecutor) -> None:
        assert await executor.shutdown(task) is None
        await up(executor, task)
        end = await executor.shutdown(task)
        assert end is not None
        assert end.code == 3

    host.run(scenario)


def test_what_does_not_obey_is_killed_after_its_grace_period(host: Host) -> None:
    task = host.task("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
    task.spec.container.stop_grace_period.CopyFrom(duration(0.2))

    async def scenario(executor: ContainerExecutor) -> None:
        await up(executor, task)
        end = await executor.shutdown(task)
        assert end is not None
        assert end.code == 137

    host.run(scenario)


def test_terminate_does_not_ask(host: Host) -> None:
    task = host.task(*OBEYS)

    async def scenario(executor: ContainerExecutor) -> None:
        assert await executor.terminate(task) is None
        await up(executor, task)
        end = await executor.terminate(task)
        assert end is not None
        assert end.code == 137

    host.run(scenario)


def test_an_image_that_cannot_be_had(host: Host) -> None:
    task = host.task(image=host.reference.replace("box:1", "box:none"))

    async def scenario(executor: ContainerExecutor) -> SwarmError:
        with pytest.raises(SwarmError) as caught:
            await executor.prepare(task)
        return caught.value

    found = host.run(scenario)
    assert str(found).startswith(f"No such image: {task.spec.container.image}: ")
    assert not isinstance(found, TemporaryError)


def test_images_are_in_use_while_a_container_is_made_of_them(host: Host, tmp_path: Path) -> None:
    other = busybox_archive(tmp_path / "other", "other:1", User="7").read_bytes()
    mount = specs_pb2.Mount(type=specs_pb2.Mount.TYPE_IMAGE, source="other:1", target="/other")
    task = host.task("true")
    task.spec.container.mounts.append(mount)

    async def archive() -> AsyncIterator[bytes]:
        yield other

    async def scenario(driver: ConmonDriver) -> None:
        create, making, goes_on = driver.create, asyncio.Event(), asyncio.Event()

        async def slowly(request: ContainerRequest) -> None:
            making.set()
            await goes_on.wait()
            await create(request)

        executor = host.executor(driver)
        store = executor._images
        await store.load(archive())
        with mock.patch.object(driver, "create", slowly):
            preparing = asyncio.create_task(executor.prepare(task))
            await making.wait()
            for name in (host.reference, "other:1"):
                with pytest.raises(SwarmError, match="is in use") as refusal:
                    await store.remove(name)
                assert refusal.value.code is Code.REFUSED
            goes_on.set()
            await preparing
        await store.remove("other:1")  # whether a container is there is for the caller to tell

    host.box.run(scenario)


def test_a_pinned_image_is_pulled_by_its_digest_whatever_its_name_means_now(host: Host) -> None:
    async def scenario(executor: ContainerExecutor) -> None:
        await executor.prepare(host.task("true"))

    host.run(scenario)
    store = ImageStore(host.images, options=RegistryOptions(), clock=clock.wall)
    [digest] = store.get(host.reference).digests
    name, _, digest = digest.partition("@")
    task = host.task("true", image=f"{name}:gone")
    task.spec.container.pinned_image.reference = f"{name}:gone@{digest}"
    host.run(lambda executor: executor.prepare(task))
    # Elsewhere nothing is here yet, and the registry is asked for the digest alone.
    elsewhere = dataclasses.replace(host, images=host.images.parent / "elsewhere")
    other = host.task("true", image=f"{name}:gone")
    other.spec.container.pinned_image.CopyFrom(task.spec.container.pinned_image)
    elsewhere.run(lambda executor: executor.prepare(other))


def test_an_image_that_needs_a_login_waits_for_it_after_a_restart(host: Host) -> None:
    task = host.task(
        "true", image=f"{host.reference}-private", registry_auth="eyJ1c2VybmFtZSI6ICJh"
    )
    kept = for_the_disk(task)

    async def scenario(executor: ContainerExecutor) -> None:
        with pytest.raises(TemporaryError, match="credentials"):
            await executor.prepare(kept)

    host.run(scenario)


def test_a_program_that_is_not_in_the_image(host: Host) -> None:
    task = host.task("nosuchprogram")

    async def scenario(executor: ContainerExecutor) -> None:
        with pytest.raises(SwarmError, match="nosuchprogram"):
            await executor.start(task)

    host.run(scenario)


class Left(NoNetworks):
    """Networks that note who leaves, and fail then."""

    def __init__(self) -> None:
        self.who: list[str] = []

    async def leave(self, task_id: str) -> None:
        self.who.append(task_id)
        raise SwarmError(Code.UNAVAILABLE, "the disk is full")


def test_a_task_that_cannot_be_started_keeps_nothing(host: Host) -> None:
    task = host.task(*SLEEP)
    task.spec.container.secrets.add(source="db", id="1", mode=0o400)
    networks = Left()

    async def scenario(driver: ConmonDriver) -> None:
        executor = host.executor(driver, networks=networks)
        executor.hold({("secret", "1"): Content(b"hidden")})
        await executor.prepare(task)
        (host.box.run_dir / "oci" / task.id / "exec.fifo").unlink()  # the runtime needs it
        with pytest.raises(SwarmError, match="cannot be started") as caught:
            await executor.start(task)
        assert not isinstance(caught.value, TemporaryError)
        assert (await driver.state(task.id)).phase == "exited"
        assert networks.who == [task.id]
        assert not (host.files / task.id).exists()

    host.box.run(scenario)


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_never_started_is_tried_to_be_removed_until_it_is(
    host: Host, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = host.task(*SLEEP)

    async def refuses(_: str) -> None:
        raise SwarmError(Code.UNAVAILABLE, "its folder is held")

    async def scenario(driver: ConmonDriver) -> None:
        executor = host.executor(driver)
        await executor.prepare(task)
        end = executor.shutdown if asked else executor.terminate
        with monkeypatch.context() as patched:
            patched.setattr(driver, "remove", refuses)
            with pytest.raises(TemporaryError, match="held"):
                await end(task)
        assert await end(task) is None
        assert await executor.recover() == []

    host.box.run(scenario)


def test_a_cancelled_start_is_a_start(host: Host) -> None:
    task = host.task(*SLEEP)

    async def scenario(executor: ContainerExecutor) -> None:
        await executor.prepare(task)
        starting = asyncio.create_task(executor.start(task))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        found = await executor.start(task)
        assert found.pid > 1
        end = await executor.terminate(task)
        assert end is not None

    host.run(scenario)


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_never_started_leaves_nothing_that_holds_its_network(
    host: Host, asked: bool
) -> None:
    task = host.task(*SLEEP)

    async def scenario(executor: ContainerExecutor) -> None:
        await executor.prepare(task)
        end = await (executor.shutdown(task) if asked else executor.terminate(task))
        assert end is None
        assert task.id not in await executor.recover()
        await executor.remove(task)

    host.run(scenario)


def test_a_new_daemon_finds_only_the_containers_of_tasks(host: Host) -> None:
    runs, ended, made = host.task(*SLEEP), host.task("sh", "-c", "exit 6"), host.task(*SLEEP)

    async def before(driver: ConmonDriver) -> None:
        executor = host.executor(driver)
        other = dataclasses.replace(
            host.box.request(*SLEEP),
            layers=executor._images.get(host.reference).layers,
        )
        await driver.create(other)
        await driver.start(other.id)
        for task in (runs, ended):
            await executor.start(task)
        await executor.wait(ended)
        await executor.prepare(made)

    async def after() -> None:
        driver = host.box.driver()
        try:
            await driver.recover()
            executor = host.executor(driver)
            found = set(await executor.recover())
            assert found == {runs.id, ended.id}
            assert (await executor.wait(ended)).code == 6
            assert (await executor.start(runs)).pid > 1
            assert (await executor.start(made)).pid > 1  # made again, since it was half made
            assert len(await driver.list()) == 4
            for state in await driver.list():
                await driver.remove(state.id)
        finally:
            await driver.close()

    host.run(lambda executor: executor.prepare(host.task(*SLEEP)))  # the image is here now
    host.box.run(before, leave=True)
    asyncio.run(after())
