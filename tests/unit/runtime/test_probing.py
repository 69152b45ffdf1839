"""Probes in real containers: what they see, how they end, and what is told of it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from api.times import duration
from api.v1 import specs_pb2
from hostkit import cgroup, clock
from runtime import health_watch, probe_exec
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ContainerRequest
from runtime.health import NO_CODE, Health, ProbeResult, Verdict
from tests.support.containers import Box
from tests.support.until import until, until_true

pytestmark = pytest.mark.root

Mount = specs_pb2.Mount
FOREVER = "while :; do sleep 1; done"


def checked(box: Box, test: str, script: str = FOREVER, **settings: Any) -> ContainerRequest:
    """A container with a check that is made every few milliseconds."""
    check = specs_pb2.HealthCheck(test=["CMD-SHELL", test], interval=duration(0.01), retries=2)
    check.MergeFrom(specs_pb2.HealthCheck(**settings))
    return box.shell(script, health=check)


async def up(driver: ConmonDriver, request: ContainerRequest) -> str:
    await driver.create(request)
    await driver.start(request.id)
    return request.id


def watching(
    driver: ConmonDriver,
    id: str,
    known: Health = "starting",
    doubts: Callable[[Verdict], None] = lambda verdict: None,
) -> Awaitable[Verdict | None]:
    return health_watch.watch(driver, id, known, doubts, wall=clock.wall, clock=clock.monotonic)


def probe(box: Box, request: ContainerRequest, *commands: str, timeout: float = 20) -> list[Any]:
    """The results of some shell lines in one container."""

    async def scenario(driver: ConmonDriver) -> list[ProbeResult]:
        id = await up(driver, request)
        return [await driver.probe(id, ("sh", "-c", line), timeout) for line in commands]

    found: list[ProbeResult] = box.run(scenario)
    return found


def test_a_probe_has_what_its_container_has(box: Box) -> None:
    request = box.shell(
        FOREVER,
        user="app",
        env=["COLOUR=red"],
        dir="/tmp",
        ulimits=[specs_pb2.Ulimit(name="nofile", soft=99, hard=99)],
    )
    who, where, status, pids, files = probe(
        box,
        request,
        "id -u; id -G",
        "echo $COLOUR; pwd; ulimit -n; test -t 0 || echo no terminal; cat",
        "grep -E 'Seccomp:|NoNewPrivs|CapEff|CapBnd' /proc/self/status",
        "ls -d /proc/[0-9]* | wc -l",
        "ls /proc/self/fd",
    )
    assert (who.code, sorted(who.output.split())) == (0, ["1001", "1002", "44"])
    assert where.output.splitlines() == ["red", "/tmp", "99", "no terminal"]
    said = dict(line.split(":\t") for line in status.output.splitlines())
    assert (said["Seccomp"], said["NoNewPrivs"], int(said["CapEff"], 16)) == ("2", "1", 0)
    assert int(pids.output) < 10
    assert files.output.split() == ["0", "1", "2", "3"], "the last one is the one of ls itself"
    assert abs(who.at - clock.wall()) < 600


def test_a_probe_counts_in_the_control_groups_of_its_container(box: Box) -> None:
    request = box.shell("exec sleep 1000")

    async def scenario(driver: ConmonDriver) -> None:
        id = await up(driver, request)
        group = f"{box.cgroup_parent}/{id}"
        probing = asyncio.create_task(driver.probe(id, ("sleep", "60"), 30))
        await until(lambda: len(cgroup.processes(cgroup.detect(), group)) == 2)
        probing.cancel()
        await asyncio.wait({probing})

    box.run(scenario)


def test_how_probes_end(box: Box) -> None:
    good, bad, missing, loud = probe(
        box,
        box.shell(FOREVER),
        "echo out; echo err >&2",
        "echo no; exit 7",
        "exec nosuch",
        "yes | head -c 1000000; echo the end",
    )
    assert (good.code, good.output.splitlines()) == (0, ["out", "err"])
    assert (bad.code, bad.last_words) == (7, "no")
    assert missing.code == 127
    assert (loud.code, len(loud.output)) == (0, probe_exec.OUTPUT_LIMIT)


def test_a_command_that_is_not_in_the_image(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> ProbeResult:
        return await driver.probe(await up(driver, box.shell(FOREVER)), ("nosuch",), 20)

    result = box.run(scenario)
    assert result.code != 0
    assert "nosuch" in result.last_words


def test_a_probe_that_takes_too_long_is_killed_with_its_children(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "(sleep 60 & echo $$); sleep 60 & echo waiting; touch /seen/waiting; wait"
    seen = tmp_path / "seen"
    seen.mkdir()

    class Waiting(probe_exec._Running):
        """Whose time begins once the command has come so far: until then the runtime starts."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            until_true((seen / "waiting").exists, "it waits")

    monkeypatch.setattr(probe_exec, "_Running", Waiting)
    request = box.shell("exec sleep 1000", mounts=[Mount(source=str(seen), target="/seen")])

    async def scenario(driver: ConmonDriver) -> ProbeResult:
        id = await up(driver, request)
        result = await driver.probe(id, ("sh", "-c", line), 0.5)
        group = f"{box.cgroup_parent}/{id}"
        await until(lambda: len(cgroup.processes(cgroup.detect(), group)) == 1)
        return result

    result = box.run(scenario)
    assert (result.code, result.last_words) == (NO_CODE, "no answer within 0.5 s")
    assert "waiting" in result.output


def test_a_probe_that_is_broken_off_is_killed_and_leaves_no_file_open(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        id = await up(driver, box.shell("exec sleep 1000"))
        group = f"{box.cgroup_parent}/{id}"
        before = len(os.listdir("/proc/self/fd"))
        probing = asyncio.create_task(driver.probe(id, ("sleep", "60"), 30))
        await until(lambda: len(cgroup.processes(cgroup.detect(), group)) == 2)
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        await until(lambda: len(cgroup.processes(cgroup.detect(), group)) == 1)
        assert len(os.listdir("/proc/self/fd")) == before

    box.run(scenario)


def names_in(group: str) -> list[str]:
    """Of what runs there: of the runtime too, until it has become the command."""
    found = []
    for pid in cgroup.processes(cgroup.detect(), group):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return sorted(found)


PROBER = """
import asyncio, sys
from pathlib import Path
from hostkit import clock
from runtime.conmon_driver import ConmonDriver

async def probe(state, run, group, id):
    driver = ConmonDriver(
        state_dir=Path(state), run_dir=Path(run), cgroup_parent=group, clock=clock.wall
    )
    await driver.recover()
    await driver.probe(id, ("sh", "-c", "sleep 1000 & wait"), 1000)

asyncio.run(probe(*sys.argv[1:]))
"""


def test_a_probe_whose_daemon_was_killed_is_ended_by_the_next(box: Box) -> None:
    request = box.shell("exec sleep 1000")
    box.run(lambda driver: up(driver, request), leave=True)
    group = f"{box.cgroup_parent}/{request.id}"
    arguments = map(str, (box.state_dir, box.run_dir, box.cgroup_parent, request.id))
    with subprocess.Popen([sys.executable, "-c", PROBER, *arguments]) as prober:
        try:
            asyncio.run(until(lambda: names_in(group) == ["sh", "sleep", "sleep"]))
        finally:
            prober.kill()
    assert len(cgroup.processes(cgroup.detect(), group)) == 3

    async def scenario(driver: ConmonDriver) -> None:
        await until(lambda: len(cgroup.processes(cgroup.detect(), group)) == 1)
        assert (await driver.probe(request.id, ("true",), 20)).code == 0

    box.run(scenario)


def test_runc_probes_too(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conmon", "runc"):
        found = shutil.which(name)
        assert found is not None
        os.symlink(found, tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    lines = ("id -u", "echo no; exit 7", "ls /proc/self/fd")
    good, bad, files = probe(box, box.shell(FOREVER, user="app"), *lines)
    assert (good.code, good.output.strip()) == (0, "1001")
    assert (bad.code, bad.last_words) == (7, "no")
    assert files.output.split() == ["0", "1", "2", "3"]


# --- health -------------------------------------------------------------------------------------


def test_from_starting_to_healthy_to_unhealthy(box: Box) -> None:
    request = checked(
        box, "test -e /tmp/well || { echo ill; exit 1; }", "touch /tmp/well; sleep 1000"
    )

    async def scenario(driver: ConmonDriver) -> None:
        id = await up(driver, request)
        begun = await driver.probe(id, ("sh", "-c", "until [ -e /tmp/well ]; do :; done"), 20)
        assert begun.code == 0
        healthy = await watching(driver, id)
        assert healthy is not None
        assert (healthy.health, healthy.reason) == ("healthy", "")
        assert [result.code for result in healthy.log][-1] == 0
        await driver.probe(id, ("rm", "/tmp/well"), 20)
        ill = await watching(driver, id, "healthy")
        assert ill is not None
        assert (ill.health, ill.reason) == ("unhealthy", "2 probes failed in a row: ill")
        assert [(result.code, result.output) for result in ill.log[-2:]] == [(1, "ill\n")] * 2
        assert len(ill.log) <= health_watch.LOG_LENGTH

    box.run(scenario)


def test_what_fails_before_it_is_healthy_is_told(box: Box) -> None:
    """Failures that do not count yet; and none of those that come once it was healthy."""
    request = checked(
        box,
        "test -e /tmp/well || { echo early; exit 1; }",
        "exec sleep 1000",
        start_period=duration(600),
        start_interval=duration(0.01),
    )
    heard = list[Verdict]()

    async def scenario(driver: ConmonDriver) -> None:
        id = await up(driver, request)
        starting = asyncio.ensure_future(watching(driver, id, "starting", heard.append))
        await until(lambda: len(heard) >= 3)
        await driver.probe(id, ("touch", "/tmp/well"), 20)
        healthy = await starting
        assert healthy is not None
        assert healthy.health == "healthy"
        assert {(each.health, each.reason) for each in heard} == {("starting", "early")}
        assert [result.code for result in heard[1].log] == [1, 1]
        heard.clear()
        await driver.probe(id, ("rm", "/tmp/well"), 20)
        ill = await watching(driver, id, "healthy", heard.append)
        assert ill is not None
        assert not heard

    box.run(scenario)


def test_a_container_that_ends_is_not_unhealthy(box: Box) -> None:
    """Its last probe fails with it, and one failure would do."""
    loop = "until test -e /tmp/die; do sleep 0.01; done"
    dies = checked(box, "touch /tmp/die; sleep 60", loop, retries=1)
    ended = checked(box, "false", "true", retries=1)

    async def scenario(driver: ConmonDriver) -> None:
        assert await watching(driver, await up(driver, dies)) is None
        await driver.wait(await up(driver, ended))
        assert await watching(driver, ended.id) is None

    box.run(scenario)


def test_a_container_without_a_check_is_not_probed(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        assert await watching(driver, await up(driver, box.shell(FOREVER))) is None

    box.run(scenario)


def test_the_check_of_the_image_and_the_one_of_a_container_that_was_adopted(box: Box) -> None:
    image = {"config": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 10_000_000}}}
    request = box.shell(FOREVER, image_config=image)

    async def first(driver: ConmonDriver) -> None:
        verdict = await watching(driver, await up(driver, request))
        assert verdict is not None
        assert verdict.health == "healthy"

    async def second(driver: ConmonDriver) -> None:
        found = (await driver.state(request.id)).health
        assert found is not None
        assert (found.command, found.interval) == (("true",), 0.01)
        verdict = await watching(driver, request.id)
        assert verdict is not None
        assert verdict.health == "healthy"

    box.run(first, leave=True)
    box.run(second)


def test_so_many_probes_at_a_time(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_exec, "AT_ONCE", 2)
    line = "mkdir /tmp/$$; ls /tmp | wc -l; sleep 0.1; rmdir /tmp/$$"

    async def scenario(driver: ConmonDriver) -> set[str]:
        id = await up(driver, box.shell("exec sleep 1000"))
        probes = (driver.probe(id, ("sh", "-c", line), 20) for _ in range(6))
        return {result.output.strip() for result in await asyncio.gather(*probes)}

    assert box.run(scenario) <= {"1", "2"}
