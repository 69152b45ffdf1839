"""Containers that have ended, and start again with what they wrote."""

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import mount, pidfd
from runtime import record
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ContainerRequest
from tests.support.containers import Box

pytestmark = pytest.mark.root

COUNT = "echo x >> /count; wc -l < /count; exit $(wc -l < /count)"
"""How often it has run is its output, and its exit code."""


async def run_once(driver: ConmonDriver, request: ContainerRequest) -> int:
    await driver.start(request.id)
    return (await driver.wait(request.id)).code


def bundle(box: Box, request: ContainerRequest) -> Path:
    """The folder that the driver has for a container."""
    return box.state_dir / "containers" / request.id


async def lines(driver: ConmonDriver, request: ContainerRequest) -> list[str]:
    return [line.data.decode() async for line in driver.logs(request.id, follow=False)]


def test_it_goes_on_with_its_files_and_its_log(box: Box) -> None:
    asked = box.shell(COUNT)

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(asked)
        assert await run_once(driver, asked) == 1
        for times in (2, 3):
            await driver.renew(asked)
            made = await driver.state(asked.id)
            assert (made.phase, made.exit, made.started_at) == ("created", None, 0.0)
            assert await run_once(driver, asked) == times
        assert await lines(driver, asked) == ["1", "2", "3"]

    box.run(scenario)


def test_only_what_has_ended_is_renewed(box: Box) -> None:
    asked = box.shell("exec sleep 1000")

    async def scenario(driver: ConmonDriver) -> None:
        with pytest.raises(SwarmError) as unknown:
            await driver.renew(asked)
        assert unknown.value.code is Code.NOT_FOUND
        await driver.create(asked)
        for step in ("created", "running"):
            with pytest.raises(SwarmError, match=f"it is {step}"):
                await driver.renew(asked)
            if step == "created":
                await driver.start(asked.id)

    box.run(scenario)


def test_another_daemon_goes_on_with_it(box: Box) -> None:
    asked = box.shell(COUNT)

    async def first(driver: ConmonDriver) -> None:
        await driver.create(asked)
        await run_once(driver, asked)
        await driver.renew(asked)

    async def second(driver: ConmonDriver) -> None:
        # It was made ready and never started: nothing that it wrote is lost for that.
        assert (await driver.state(asked.id)).phase == "exited"
        await driver.renew(asked)
        assert await run_once(driver, asked) == 2

    box.run(first, leave=True)
    box.run(second)


def test_a_renewed_one_that_runs_is_adopted(box: Box) -> None:
    asked = box.shell("[ -e /ran ] && exec sleep 1000; touch /ran")

    async def first(driver: ConmonDriver) -> int:
        await driver.create(asked)
        await run_once(driver, asked)
        await driver.renew(asked)
        return await driver.start(asked.id)

    async def second(driver: ConmonDriver, pid: int) -> None:
        found = await driver.state(asked.id)
        assert (found.phase, found.pid) == ("running", pid)
        os.kill(pid, signal.SIGKILL)
        assert (await driver.wait(asked.id)).code == 128 + signal.SIGKILL

    pid = box.run(first, leave=True)
    box.run(lambda driver: second(driver, pid))


def processes(box: Box, request: ContainerRequest) -> list[pidfd.ProcessId]:
    """Those of a container that run, by the files of its monitor."""
    files = [bundle(box, request) / name for name in ("pid", "conmon.pid")]
    found = [pidfd.identify(int(file.read_text())) for file in files]
    return [each for each in found if each is not None]


def test_what_a_renewal_that_was_cut_off_has_launched_is_ended(box: Box) -> None:
    asked = box.shell(COUNT)

    async def first(driver: ConmonDriver) -> None:
        await driver.create(asked)
        await run_once(driver, asked)
        file = bundle(box, asked) / "record.json"
        before = file.read_text()
        await driver.renew(asked)
        file.write_text(before)
        assert len(processes(box, asked)) == 2

    async def second(driver: ConmonDriver) -> None:
        assert (await driver.state(asked.id)).phase == "exited"
        assert processes(box, asked) == []
        await driver.renew(asked)
        assert await run_once(driver, asked) == 2

    box.run(first, leave=True)
    box.run(second)


def test_a_renewal_that_cannot_be_recorded_leaves_nothing_that_runs(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = box.shell(COUNT)

    def full(path: Path, made: record.Record) -> None:
        assert len(processes(box, asked)) == 2
        raise OSError(errno.ENOSPC, "no space")

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(asked)
        await run_once(driver, asked)
        before = await driver.state(asked.id)
        with monkeypatch.context() as patched:
            patched.setattr(record, "save", full)
            with pytest.raises(SwarmError, match="no space"):
                await driver.renew(asked)
        assert await driver.state(asked.id) == before
        assert processes(box, asked) == []
        await driver.renew(asked)
        assert await run_once(driver, asked) == 2

    box.run(scenario)


def test_without_its_files_it_is_refused_and_stays_as_it_was(box: Box) -> None:
    asked = box.shell(COUNT)

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(asked)
        await run_once(driver, asked)
        before = await driver.state(asked.id)
        mount.unmount(bundle(box, asked) / "merged")  # as after a restart of the host
        with pytest.raises(SwarmError, match="the host was restarted since"):
            await driver.renew(asked)
        assert await driver.state(asked.id) == before

    box.run(scenario)


def test_a_renewal_that_fails_may_be_tried_again(box: Box) -> None:
    asked = box.shell(COUNT)

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(asked)
        await run_once(driver, asked)
        config = bundle(box, asked) / "config.json"
        os.unlink(config)
        os.mkdir(config)
        with pytest.raises(SwarmError, match="cannot be created"):
            await driver.renew(asked)
        assert (await driver.state(asked.id)).phase == "exited"
        shutil.rmtree(config)
        await driver.renew(asked)
        assert await run_once(driver, asked) == 2

    box.run(scenario)
