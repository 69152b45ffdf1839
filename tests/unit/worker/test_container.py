"""The executor over real containers and a real image store, and an agent on top of both."""

import asyncio
import dataclasses
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api import channel
from api.errors import Code, SwarmError
from api.new_ids import new_id
from api.states import ASSIGNED, COMPLETE, FAILED, REJECTED, RUNNING, SHUTDOWN
from api.times import duration
from api.v1 import dispatcher_pb2, logs_pb2, objects_pb2
from hostkit import clock
from runtime.conmon_driver import ConmonDriver
from runtime.image.registry import RegistryOptions
from runtime.image.store import ImageStore
from tests.support.containers import Box
from tests.support.fake_manager import FakeManager
from tests.support.images import busybox_source, running_registry
from worker import container
from worker.agent import Agent
from worker.container import ContainerExecutor
from worker.executor import TemporaryError
from worker.storage import Storage

pytestmark = pytest.mark.root

Scenario = Callable[[ContainerExecutor], Awaitable[Any]]
SLEEP = ("sleep", "1000")
OBEYS = ("sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done")


@dataclasses.dataclass
class Host:
    """A box for containers, an image store, and the name of an image in a registry."""

    box: Box
    images: Path
    reference: str

    def executor(self, driver: ConmonDriver) -> ContainerExecutor:
        store = ImageStore(self.images, options=RegistryOptions(), clock=clock.wall)
        return ContainerExecutor(
            driver, store, version="1.2", labels={"disk": "ssd"}, address="10.0.0.1"
        )

    def run(self, scenario: Scenario, *, leave: bool = False) -> Any:
        return self.box.run(lambda driver: scenario(self.executor(driver)), leave=leave)

    def task(self, *command: str, **changes: Any) -> objects_pb2.Task:
        made = objects_pb2.Task(
            id=new_id(), service_id="s", service_name="web", slot=1, node_id="n"
        )
        made.spec.container.image = self.reference
        made.spec.container.command.extend(command)
        made.status.state = ASSIGNED
        made.desired_state = RUNNING
        for name, value in changes.items():
            setattr(made.spec.container, name, value)
        return made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with running_registry(directory / "data") as registry:
        source = busybox_source(directory / "source")
        asyncio.run(registry.push(directory / "workspace", "box:1", source))
        yield registry.reference("box:1")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def host(tmp_path: Path, images: Path, reference: str) -> Iterator[Host]:
    run_dir = Path(tempfile.mkdtemp(prefix="r"))
    box = Box(tmp_path / "state", run_dir, tmp_path)
    try:
        yield Host(box, images, reference)
    finally:
        box.run(_nothing)
        left = box.leftovers()
        shutil.rmtree(run_dir)
    assert left == []


async def _nothing(_driver: ConmonDriver) -> None:
    pass


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


def test_a_program_that_is_not_in_the_image(host: Host) -> None:
    task = host.task("nosuchprogram")

    async def scenario(executor: ContainerExecutor) -> None:
        with pytest.raises(SwarmError, match="nosuchprogram"):
            await executor.start(task)

    host.run(scenario)


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


@pytest.mark.parametrize(
    ("code", "temporary"),
    [(Code.DEADLINE, True), (Code.EXHAUSTED, True), (Code.INTERNAL, False), (Code.REFUSED, False)],
)
def test_which_failures_are_worth_another_try(code: Code, temporary: bool) -> None:
    with pytest.raises(SwarmError) as caught, container._sorted():
        raise SwarmError(code, "what", why="why")
    assert isinstance(caught.value, TemporaryError) is temporary
    assert str(caught.value) == "what: why"


def test_an_agent_over_real_containers(host: Host, tmp_path: Path) -> None:
    manager = FakeManager(tmp_path / "m.sock")
    good, bad, lost = (
        host.task(*OBEYS),
        host.task("sh", "-c", "exit 5"),
        host.task(image="x.invalid/y"),
    )
    job = host.task("true")
    job.desired_state = COMPLETE
    manager.tasks = {task.id: task for task in (good, bad, lost, job)}

    async def life(driver: ConmonDriver, scenario: Callable[[], Awaitable[None]]) -> None:
        storage = await Storage.open(tmp_path / "tasks.db")
        agent = Agent(
            node_id="n",
            executor=host.executor(driver),
            storage=storage,
            managers=[dispatcher_pb2.ManagerAddress(node_id="m", address="m")],
            connect=lambda _: channel.unix_channel(tmp_path / "m.sock"),
            wall=clock.wall,
            chance=random.Random(1),
        )
        running = asyncio.create_task(agent.run())
        try:
            await scenario()
        finally:
            await agent.stop()
            await running
            await storage.close()
            await driver.close()

    async def first() -> None:
        assert (await manager.reported(bad.id, FAILED)).error == "task: non-zero exit (5)"
        assert (await manager.reported(lost.id, REJECTED)).error.startswith("No such image: ")
        await manager.reported(job.id, COMPLETE)
        assert (await manager.reported(good.id, RUNNING)).container.pid > 1

    async def second() -> None:
        await manager.want(good.id, SHUTDOWN)
        stopped = await manager.reported(good.id, SHUTDOWN)
        assert stopped.container.exit_code == 3

    async def all_of_it() -> None:
        await manager.start()
        try:
            await life(host.box.driver(), first)
            await life(host.box.driver(), second)
        finally:
            await manager.stop()
            driver = host.box.driver()
            for state in await driver.recover():
                await driver.remove(state.id)
            await driver.close()

    asyncio.run(all_of_it())
