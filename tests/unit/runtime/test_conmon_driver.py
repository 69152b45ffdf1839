"""Real containers from creation to removal."""

import asyncio
import functools
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import specs_pb2, types_pb2
from hostkit import cgroup
from runtime import binds
from runtime.conmon_driver import ConmonDriver
from runtime.driver import (
    ContainerDriver,
    ContainerRequest,
    ContainerState,
    ExecRequest,
    LogLine,
)
from runtime.lifecycle import Lifecycle
from runtime.record import Record
from runtime.volume.look import look
from tests.support.containers import Box, run_to_end, texts
from tests.support.deep_tree import make_deep
from tests.support.silent_mount import silent_mount

pytestmark = pytest.mark.root

Mount = specs_pb2.Mount
SLEEP = "exec sleep 1000"
OBEY = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done"


async def started(driver: ConmonDriver, request: Any, first_line: str = "") -> str:
    """Creates and starts; waits for the container's first line if there is to be one."""
    await driver.create(request)
    await driver.start(request.id)
    if first_line:
        async for line in driver.logs(request.id, follow=True):
            assert line.data.decode() == first_line
            break
    return str(request.id)


def test_fingerprint(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        promised: ContainerDriver = driver
        found = await promised.fingerprint()
        kind, version = found.runtime.split()
        assert kind in ("crun", "runc")
        assert version[0].isdigit()
        assert found.cgroup_version == cgroup.detect().version
        assert found.missing_controllers == ()

    box.run(scenario)


def test_a_life(box: Box) -> None:
    request = box.shell("echo out; echo err >&2; exit 7", labels={"a": "b"}, name="seven")

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(request)
        created = await driver.state(request.id)
        assert (created.phase, created.name, created.labels) == ("created", "seven", {"a": "b"})
        pid = await driver.start(request.id)
        assert pid > 0
        result = await driver.wait(request.id)
        assert (result.code, result.oom_killed, result.message) == (7, False, "")
        exited = await driver.state(request.id)
        assert (exited.phase, exited.pid, exited.exit) == ("exited", 0, result)
        assert created.started_at == 0.0 < exited.started_at
        assert await driver.wait(request.id) == result  # again, at once
        lines = [line async for line in driver.logs(request.id, follow=False)]
        assert {(line.stream, line.data) for line in lines} == {
            ("stdout", b"out"),
            ("stderr", b"err"),
        }
        assert await driver.list() == [exited]
        await driver.remove(request.id)
        await driver.remove(request.id)
        assert await driver.list() == []

    box.run(scenario)


def test_what_is_not_there(box: Box) -> None:
    id = "x" * 25

    async def scenario(driver: ConmonDriver) -> None:
        calls = (
            driver.start(id),
            driver.wait(id),
            driver.signal(id, 15),
            driver.stop(id, 1.0),
            driver.kill(id),
            driver.state(id),
            driver.stats(id),
            anext(driver.logs(id, follow=False)),
        )
        for call in calls:
            with pytest.raises(SwarmError) as caught:
                await call
            assert caught.value.code is Code.NOT_FOUND
        await driver.remove(id)

    box.run(scenario)


@pytest.mark.parametrize(
    ("command", "changes", "cause"),
    [
        (["nosuch"], {}, "not found"),
        (["/bin/nosuch"], {}, "no"),
        (["true"], {"user": "bob"}, "no user 'bob'"),
        (["true"], {"layers": (Path("/no/such/layer"),)}, "No such file"),
        (["true"], {"network": "netns:/no/such/netns"}, "No such file"),
        (["true"], {"mounts": [Mount(source="/no/such", target="/x")]}, "does not exist"),
        ([], {}, "no command"),
        (["true"], {"network": "bridge"}, "bridge"),
        (["true"], {"id": "../../etc"}, "no container id"),
    ],
)
def test_refused_creation_leaves_nothing(
    box: Box, command: list[str], changes: dict[str, Any], cause: str
) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        with pytest.raises(SwarmError) as caught:
            await driver.create(box.request(*command, **changes))
        assert cause.lower() in str(caught.value).lower()
        assert await driver.list() == []
        left = [path for path in box.leftovers() if "cgroup" not in path.parts]
        assert left == []

    box.run(scenario)


def test_an_id_is_taken_once(box: Box) -> None:
    request = box.shell(SLEEP)

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(request)
        with pytest.raises(SwarmError) as caught:
            await driver.create(request)
        assert caught.value.code is Code.EXISTS
        await driver.start(request.id)
        with pytest.raises(SwarmError, match="it is running"):
            await driver.start(request.id)

    async def without_recovery() -> None:
        driver = box.driver()
        try:
            with pytest.raises(SwarmError) as caught:
                await driver.create(request)
            assert caught.value.code is Code.EXISTS
        finally:
            await driver.close()

    box.run(scenario, leave=True)
    asyncio.run(without_recovery())
    states: list[ContainerState] = box.run(lambda driver: driver.list(), leave=True)
    assert [state.phase for state in states] == ["running"]


def test_stop_obeyed(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        id = await started(driver, box.shell(OBEY), "ready")
        result = await driver.stop(id, 30)
        assert result.code == 5
        assert texts([line async for line in driver.logs(id, follow=False)]) == ["ready", "bye"]
        assert await driver.stop(id, 30) == result

    box.run(scenario)


def test_stop_signal_of_spec_and_image(box: Box) -> None:
    script = "trap 'exit 3' USR1; trap 'exit 4' HUP; echo ready; while :; do sleep 0.05; done"

    async def scenario(driver: ConmonDriver) -> None:
        image = {"config": {"StopSignal": "SIGUSR1"}}
        by_image = await started(driver, box.shell(script, image_config=image), "ready")
        by_spec = await started(
            driver, box.shell(script, image_config=image, stop_signal="HUP"), "ready"
        )
        assert (await driver.stop(by_image, 30)).code == 3
        assert (await driver.stop(by_spec, 30)).code == 4

    box.run(scenario)


def test_kill_after_grace(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        # The first process of a pid namespace ignores signals that it has no handler for.
        id = await started(driver, box.shell(SLEEP))
        assert (await driver.stop(id, 0.1)).code == 128 + signal.SIGKILL

    box.run(scenario)


def test_stop_and_kill_before_the_start(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        request = box.shell(SLEEP)
        await driver.create(request)
        assert (await driver.stop(request.id, 1000)).code == 128 + signal.SIGKILL
        with pytest.raises(SwarmError, match="it is exited"):
            await driver.start(request.id)

    box.run(scenario)


def test_signals(box: Box) -> None:
    script = "trap 'echo usr1' USR1; trap 'exit 9' USR2; echo ready; while :; do sleep 0.05; done"

    async def scenario(driver: ConmonDriver) -> None:
        id = await started(driver, box.shell(script), "ready")
        lines = driver.logs(id, follow=True)
        assert (await anext(lines)).data == b"ready"
        await driver.signal(id, signal.SIGUSR1)
        assert (await anext(lines)).data == b"usr1"
        with pytest.raises(SwarmError, match="signal 999"):
            await driver.signal(id, 999)
        await driver.signal(id, signal.SIGUSR2)
        assert (await driver.wait(id)).code == 9
        await driver.signal(id, signal.SIGUSR2)  # too late: nothing happens

    box.run(scenario)


def test_removal_of_a_running_container_ends_it_for_all(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        id = await started(driver, box.shell(OBEY), "ready")
        waiting = asyncio.create_task(driver.wait(id))
        lines = driver.logs(id, follow=True)
        assert (await anext(lines)).data == b"ready"
        following = asyncio.create_task(rest_of(lines))
        await asyncio.gather(driver.remove(id), driver.remove(id))
        assert (await waiting).code == 128 + signal.SIGKILL
        assert await following == []

    box.run(scenario)


async def rest_of(lines: AsyncIterator[LogLine]) -> list[LogLine]:
    return [line async for line in lines]


def test_however_deep_its_folders_are_a_container_is_removed(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        id = await started(driver, box.shell("exit 0"))
        await driver.wait(id)
        bundle = box.state_dir / "containers" / id
        make_deep(bundle / "merged/deep", sys.getrecursionlimit() + 200)
        await driver.remove(id)
        assert not bundle.exists()

    box.run(scenario)


def test_many_at_once(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        requests = [box.shell(f"echo {n}; exit {n}") for n in range(8)]
        ends = await asyncio.gather(*(run_to_end(driver, request) for request in requests))
        assert [(end.code, lines) for end, lines in ends] == [(n, [str(n)]) for n in range(8)]

    box.run(scenario)


def test_a_cancelled_creation_leaves_nothing(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        await driver.fingerprint()
        request = box.shell(SLEEP)
        task = asyncio.create_task(driver.create(request))
        while not (box.state_dir / "containers" / request.id).exists():  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await driver.list() == []
        assert list((box.state_dir / "containers").iterdir()) == []

    box.run(scenario)


def test_a_folder_that_does_not_answer_is_refused_in_time(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binds, "look", functools.partial(look, timeout=0.3))
    silent = tmp_path / "silent"
    silent.mkdir()
    request = box.shell("exit 0", mounts=[Mount(source=f"{silent}/x", target="/x")])

    async def scenario(driver: ConmonDriver) -> None:
        with silent_mount(silent), pytest.raises(SwarmError, match="does not answer") as caught:
            await asyncio.wait_for(driver.create(request), 10)
        assert caught.value.code is Code.DEADLINE
        assert caught.value.field == "container.mounts[0].source"
        assert await driver.list() == []

    box.run(scenario)


def test_while_containers_are_long_in_the_making_others_go_on(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, goes_on = Lifecycle.make, threading.Event()

    def slowly(steps: Lifecycle, request: ContainerRequest) -> Record:
        goes_on.wait(60)
        return made(steps, request)

    async def scenario(driver: ConmonDriver) -> None:
        runs, waits = await started(driver, box.shell(SLEEP)), box.shell("exit 4")
        await driver.create(waits)
        monkeypatch.setattr(Lifecycle, "make", slowly)
        slow = [box.shell("exit 0") for _ in range(2 * (os.cpu_count() or 1) + 4)]
        making = [asyncio.create_task(driver.create(each)) for each in slow]
        try:
            async with asyncio.timeout(30):
                await driver.kill(runs)
                await driver.start(waits.id)
                assert (await driver.wait(waits.id)).code == 4
                await driver.remove(runs)
        finally:
            goes_on.set()
            await asyncio.gather(*making)

    box.run(scenario)


def test_lost_monitor(box: Box) -> None:
    request = box.shell(SLEEP)

    async def scenario(driver: ConmonDriver) -> None:
        id = await started(driver, request)
        pid = (await driver.state(id)).pid
        monitor = int((box.state_dir / "containers" / id / "conmon.pid").read_text())
        os.kill(monitor, signal.SIGKILL)
        result = await driver.wait(id)
        assert (result.code, result.message) == (255, "monitor lost")
        assert not is_running(pid)

    box.run(scenario)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_stats_and_the_monitor_s_own_group(box: Box) -> None:
    limits = types_pb2.Resources(memory_bytes=64 << 20, nano_cpus=250_000_000)
    resources = specs_pb2.ResourceRequirements(limits=limits, pids_limit=20)

    async def scenario(driver: ConmonDriver) -> None:
        id = await started(driver, box.shell(OBEY, resources=resources), "ready")
        found = await driver.stats(id)
        assert found.cpu_ns > 0
        assert 0 < found.memory_bytes < 64 << 20
        assert found.memory_limit_bytes == 64 << 20
        assert 1 <= found.pids <= 3
        monitor = int((box.state_dir / "containers" / id / "conmon.pid").read_text())
        hierarchies = cgroup.detect()
        group = f"{box.cgroup_parent}-conmon"
        assert cgroup.processes(hierarchies, group) == {monitor}
        quota = hierarchies.file("cpu", f"{box.cgroup_parent}/{id}", "cpu.cfs_quota_us")
        if hierarchies.version == 1:
            assert cgroup.read_number(quota) == 25_000
        await driver.kill(id)
        with pytest.raises(SwarmError, match="not running"):
            await driver.stats(id)

    box.run(scenario)


def test_init_is_the_first_process_reaps_and_passes_signals_on(box: Box) -> None:
    script = "(sleep 0.01 &); trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"

    async def scenario(driver: ConmonDriver) -> None:
        request = box.shell(script, init=True, read_only=True)
        id = await started(driver, request, "ready")
        async with driver.exec(id, ExecRequest(("cat", "/proc/1/comm"))) as command:
            assert await command.read("stdout") == b"docker-init\n"
        result = await driver.stop(id, 20)
        assert result.code == 9

    box.run(scenario)
