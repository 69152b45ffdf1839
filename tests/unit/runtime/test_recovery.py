"""The driver's process is killed; its successor finds every container, log and exit code."""

import asyncio
import json
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from api.v1 import specs_pb2
from hostkit import mount, pidfd
from runtime import record
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ContainerRequest
from tests.support.containers import Box, texts

pytestmark = pytest.mark.root

# Starts one container per script, says which, and waits for its own violent end.
HOLDER = """
import asyncio, json, sys
from pathlib import Path
from api import new_ids
from api.v1 import specs_pb2
from hostkit import clock
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ContainerRequest

async def hold(state, run, group, layer, *scripts):
    driver = ConmonDriver(
        state_dir=Path(state), run_dir=Path(run), cgroup_parent=group, clock=clock.wall
    )
    await driver.recover()
    made = []
    for script in scripts:
        spec = specs_pb2.ContainerSpec(command=["sh", "-c", script])
        request = ContainerRequest(
            new_ids.new_id(), script, spec, specs_pb2.ResourceRequirements(), {}, (Path(layer),),
            "box", "none", {"k": "v"},
        )
        await driver.create(request)
        if script != "never started":
            await driver.start(request.id)
        made.append(request.id)
    print(json.dumps(made), flush=True)
    await asyncio.sleep(1000)

asyncio.run(hold(*sys.argv[1:]))
"""
GATED = "echo before; while [ ! -e /gate/open ]; do sleep 0.02; done; echo after; exit 42"


def killed_holder(box: Box, *scripts: str) -> list[str]:
    """Ids of containers whose driver was killed with -9."""
    arguments = (box.state_dir, box.run_dir, box.cgroup_parent, box.layer, *scripts)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        with holder.stdout:
            made: list[str] = json.loads(holder.stdout.readline())
    finally:
        holder.kill()
        holder.wait()
    return made


def await_exit_file(box: Box, id: str) -> None:
    """Until the monitor is through with a container that nobody watches."""
    monitor = pidfd.identify(int((box.state_dir / "containers" / id / "conmon.pid").read_text()))
    fd = pidfd.open_process(monitor) if monitor is not None else None
    if fd is not None:
        select.select([fd], [], [], 60)
        os.close(fd)


def test_after_kill_9(box: Box) -> None:
    alive, ended, idle = killed_holder(
        box,
        "trap 'echo bye; exit 6' TERM; echo ready; while :; do sleep 0.05; done",
        "echo done; exit 7",
        "never started",
    )
    await_exit_file(box, ended)

    async def scenario(driver: ConmonDriver) -> None:
        states = {state.id: state for state in await driver.list()}
        assert set(states) == {alive, ended}
        assert states[alive].phase == "running"
        assert states[alive].pid > 0
        assert states[alive].labels == {"k": "v"}
        assert states[ended].phase == "exited"
        end = states[ended].exit
        assert end is not None
        assert (end.code, end.message) == (7, "")
        assert end.at >= states[ended].started_at
        assert await driver.wait(ended) == end
        assert texts([line async for line in driver.logs(ended, follow=True)]) == ["done"]
        waiting = asyncio.create_task(driver.wait(alive))
        assert (await anext(driver.logs(alive, follow=True))).data == b"ready"
        assert (await driver.stop(alive, 60)).code == 6
        assert (await waiting).code == 6
        assert texts([line async for line in driver.logs(alive, follow=True)]) == ["ready", "bye"]

    box.run(scenario)
    assert not (box.state_dir / "containers" / idle).exists()


def test_an_end_under_the_new_driver_is_noticed(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    request = box.shell(GATED, mounts=[specs_pb2.Mount(source=str(gate), target="/gate")])

    async def first(driver: ConmonDriver) -> None:
        await driver.create(request)
        await driver.start(request.id)

    async def second(driver: ConmonDriver) -> None:
        waiting = asyncio.create_task(driver.wait(request.id))
        (gate / "open").touch()
        assert (await waiting).code == 42
        lines = [line async for line in driver.logs(request.id, follow=True)]
        assert texts(lines) == ["before", "after"]

    box.run(first, leave=True)
    box.run(second)


def run_and_leave(box: Box, request: ContainerRequest) -> Path:
    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(request)
        await driver.start(request.id)

    box.run(scenario, leave=True)
    return box.state_dir / "containers" / request.id


def test_monitor_lost_while_nobody_looked(box: Box) -> None:
    request = box.request("sleep", "1000")
    bundle = run_and_leave(box, request)
    process = pidfd.identify(int((bundle / "pid").read_text()))
    assert process is not None
    monitor = pidfd.identify(int((bundle / "conmon.pid").read_text()))
    assert monitor is not None
    assert pidfd.kill(monitor, 60)

    async def scenario(driver: ConmonDriver) -> None:
        (state,) = await driver.list()
        assert state.exit is not None
        assert (state.exit.code, state.exit.message) == (255, "monitor lost")

    box.run(scenario)
    assert not pidfd.is_alive(process)


def test_after_a_reboot_pids_mean_nothing(box: Box) -> None:
    request = box.request("sleep", "1000")
    bundle = run_and_leave(box, request)
    found = record.load(bundle / "record.json")
    assert found is not None
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        process = pidfd.identify(bystander.pid)
        assert process is not None
        # As if another kernel had given these pids to the container and its monitor.
        rebooted = replace(found, boot="another", process=process, monitor=process)
        record.save(bundle / "record.json", rebooted)

        async def scenario(driver: ConmonDriver) -> None:
            (state,) = await driver.list()
            assert state.exit is not None
            assert (state.exit.code, state.exit.message) == (255, "the host restarted")

        box.run(scenario)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def forget_the_start(bundle: Path) -> record.Record:
    """As if the driver had been cut off before it noted that the process was started."""
    found = record.load(bundle / "record.json")
    assert found is not None
    created = replace(found, step="created", started_at=0.0)
    record.save(bundle / "record.json", created)
    return created


def test_cut_off_during_the_start(box: Box) -> None:
    request = box.request("sleep", "1000")
    forget_the_start(run_and_leave(box, request))

    async def scenario(driver: ConmonDriver) -> None:
        (state,) = await driver.list()
        assert state.phase == "running"
        assert state.started_at > 0
        assert (await driver.kill(request.id)).code == 137

    box.run(scenario)


def test_cut_off_during_the_start_of_what_ended_meanwhile(box: Box) -> None:
    request = box.shell("exit 7")
    bundle = run_and_leave(box, request)
    await_exit_file(box, request.id)
    forget_the_start(bundle)

    async def scenario(driver: ConmonDriver) -> None:
        (state,) = await driver.list()
        assert state.phase == "exited"
        assert state.exit is not None
        assert state.exit.code == 7

    box.run(scenario)


def test_cut_off_during_the_start_and_then_left_without_monitor(box: Box) -> None:
    bundle = run_and_leave(box, box.request("sleep", "1000"))
    created = forget_the_start(bundle)
    assert created.monitor is not None
    pidfd.kill(created.monitor, 60)

    async def scenario(driver: ConmonDriver) -> None:
        (state,) = await driver.list()
        assert state.exit is not None
        assert (state.exit.code, state.exit.message) == (255, "monitor lost")

    box.run(scenario)
    assert created.process is not None
    assert not pidfd.is_alive(created.process)


def test_a_start_that_a_power_failure_cut_off_never_was(box: Box) -> None:
    bundle = run_and_leave(box, box.request("sleep", "1000"))
    created = forget_the_start(bundle)
    assert created.process is not None
    assert created.monitor is not None
    for process in (created.monitor, created.process):
        pidfd.kill(process, 60)
    record.save(bundle / "record.json", replace(created, boot="another"))

    async def scenario(driver: ConmonDriver) -> None:
        assert await driver.list() == []

    box.run(scenario)
    assert not bundle.exists()


@pytest.mark.parametrize("content", ["", "{", '{"id": "x"}', "[]"])
def test_an_unreadable_record_is_no_container(box: Box, content: str) -> None:
    request = box.request("sleep", "1000")
    bundle = run_and_leave(box, request)
    process = pidfd.identify(int((bundle / "pid").read_text()))
    assert process is not None
    (bundle / "record.json").write_text(content)

    async def scenario(driver: ConmonDriver) -> None:
        assert await driver.list() == []

    box.run(scenario)
    assert not bundle.exists()
    assert not pidfd.is_alive(process)


def test_where_the_record_cannot_be_read_the_container_runs_on(box: Box) -> None:
    request = box.request("sleep", "1000")
    file = run_and_leave(box, request) / "record.json"
    written = file.read_text()
    file.unlink()
    file.symlink_to(file)  # whoever reads gets an error of the kernel

    async def hidden(driver: ConmonDriver) -> None:
        assert await driver.list() == []

    async def readable(driver: ConmonDriver) -> None:
        assert (await driver.state(request.id)).phase == "running"

    box.run(hidden, leave=True)
    file.unlink()
    file.write_text(written)
    box.run(readable)


def test_strays_are_swept(box: Box, tmp_path: Path) -> None:
    box.run(lambda driver: driver.list())
    stray = box.state_dir / "stray"
    low = tmp_path / "low"
    for directory in (stray, low):
        directory.mkdir()
    (box.run_dir / "exits" / ("z" * 25)).write_text("0")
    os.symlink("/nowhere", box.run_dir / "s" / ("z" * 25))
    merged = box.state_dir / "containers" / ("z" * 25) / "merged"
    merged.mkdir(parents=True)
    mount.mount("tmpfs", merged, "tmpfs")
    box.run(lambda driver: driver.list())
    assert box.leftovers() == []
