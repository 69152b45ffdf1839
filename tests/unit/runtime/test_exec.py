"""Commands in real containers, over pipes and over terminals."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import specs_pb2
from runtime.conmon_driver import ConmonDriver
from runtime.driver import ExecRequest, RunningCommand, Stream
from tests.support.containers import Box

pytestmark = pytest.mark.root

LIMIT = 30.0


@dataclass
class Said:
    """All that a command wrote, and its exit code."""

    code: int
    out: bytes
    err: bytes


class Bench:
    """A running container, and commands in it."""

    def __init__(self, driver: ConmonDriver, id: str) -> None:
        self.driver = driver
        self.id = id

    def start(self, *command: str, **changes: Any) -> Any:
        return self.driver.exec(self.id, ExecRequest(command, **changes))

    async def say(self, *command: str, given: bytes = b"", **changes: Any) -> Said:
        """Runs a command to its end, with `given` as its input."""
        async with asyncio.timeout(LIMIT), self.start(*command, **changes) as running:
            feeding = asyncio.create_task(feed(running, given)) if given else None
            out, err = await asyncio.gather(read_all(running), read_all(running, "stderr"))
            code = await running.wait()
            if feeding is not None:
                await feeding
        return Said(code, out, err)


async def feed(running: RunningCommand, given: bytes) -> None:
    for start in range(0, len(given), 50_000):
        await running.write(given[start : start + 50_000])
    await running.end_input()


async def read_all(running: RunningCommand, stream: Stream = "stdout") -> bytes:
    found = b""
    while stream in running.streams and (piece := await running.read(stream)):
        found += piece
    return found


async def read_until(running: RunningCommand, text: bytes) -> bytes:
    found = b""
    async with asyncio.timeout(LIMIT):
        while text not in found:
            piece = await running.read("stdout")
            assert piece, found
            found += piece
    return found


@asynccontextmanager
async def bench(driver: ConmonDriver, box: Box, **changes: Any) -> AsyncIterator[Bench]:
    request = box.shell("exec sleep 1000", **changes)
    await driver.create(request)
    await driver.start(request.id)
    yield Bench(driver, request.id)


@pytest.fixture(params=["crun", "runc"])
def within(
    request: pytest.FixtureRequest, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Runs a scenario in a running container, of either runtime."""
    path = os.environ["PATH"]
    found = shutil.which("runc") if request.param == "runc" else "crun"
    if found is None:
        pytest.skip("runc is not installed")
    if request.param == "runc":
        _only_runc(monkeypatch, tmp_path / "programs", path)

    def run(scenario: Callable[[Bench], Awaitable[None]], **changes: Any) -> None:
        async def all_of_it(driver: ConmonDriver) -> None:
            async with bench(driver, box, **changes) as made:
                await scenario(made)
            assert list((box.run_dir / "x").iterdir()) == []

        box.run(all_of_it)

    return run


def _only_runc(monkeypatch: pytest.MonkeyPatch, programs: Path, path: str) -> None:
    programs.mkdir()
    for folder in path.split(os.pathsep):
        for entry in os.scandir(folder) if os.path.isdir(folder) else ():
            link = programs / entry.name
            if entry.name != "crun" and not link.is_symlink():
                link.symlink_to(entry.path)
    monkeypatch.setenv("PATH", str(programs))


def test_output_and_exit_code(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        assert await b.say("sh", "-c", "echo out; echo err >&2; exit 7") == Said(
            7, b"out\n", b"err\n"
        )
        assert (await b.say("sh", "-c", "kill -9 $$")).code == 137

    within(scenario)


def test_input_of_some_mib_comes_back_as_it_was(within: Any) -> None:
    given = os.urandom(3 << 20)

    async def scenario(b: Bench) -> None:
        assert await b.say("cat", given=given, stdin=True) == Said(0, given, b"")
        assert await b.say("cat") == Said(0, b"", b"")

    within(scenario)


@pytest.mark.parametrize("tty", [False, True])
def test_what_cannot_be_run_ends_as_in_a_shell(within: Any, tty: bool) -> None:
    async def scenario(b: Bench) -> None:
        for command in ("nothing", "/nothing"):
            said = await b.say(command, tty=tty)
            assert said.code == 127
            assert b"nothing" in said.out + said.err
        assert (await b.say("/etc/passwd", tty=tty)).code == 126
        assert (await b.say("true", dir="/nowhere", tty=tty)).code == 126

    within(scenario)


def test_environment_directory_and_user(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        show = ("sh", "-c", "echo $A $B $HOME; pwd; id -u; id -g")
        own = (await b.say(*show)).out.decode().splitlines()
        assert own == ["one two /root", "/tmp", "0", "0"]
        asked = await b.say(*show, user="app", dir="/etc", env=("A=x y", "B"))
        assert asked.out.decode().splitlines() == ["x y /home/app", "/etc", "1001", "1002"]
        groups = await b.say("id", "-G", user="app")
        assert groups.out.split() == [b"1002", b"44"]
        with pytest.raises(SwarmError) as refused:
            await b.say("true", user="nobody-here")
        assert refused.value.code is Code.INVALID

    within(scenario, env=["A=one", "B=two"], dir="/tmp")


def test_it_is_held_to_what_its_container_is_held_to(within: Any) -> None:
    script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; cat /proc/self/cgroup"

    async def scenario(b: Bench) -> None:
        first = await b.say("sh", "-c", script.replace("self", "1"))
        assert (await b.say("sh", "-c", script)).out == first.out
        other = (await b.say("sh", "-c", script, user="app")).out.decode()
        assert "CapEff:\t0000000000000000" in other
        root = await b.say("sh", "-c", "ulimit -n")
        assert root.out == b"321\n"

    within(scenario, ulimits=[specs_pb2.Ulimit(name="nofile", soft=321, hard=321)])


def test_a_terminal_with_its_size(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        script = "trap 'stty size' WINCH; tty; stty size; while :; do read x; echo got $x; done"
        async with b.start("sh", "-c", script, tty=True, rows=33, columns=77) as running:
            assert running.streams == ("stdout",)
            said = await read_until(running, b"33 77")
            assert said.startswith(b"/dev/pts/")
            running.resize(44, 99)
            await read_until(running, b"44 99")
            await running.write(b"word\n")
            await read_until(running, b"got word\r\n")
            await running.write(b"\x03")  # Ctrl-C
            assert await read_all(running) == b"^C"
            assert await running.wait() == 130

    within(scenario)


def test_the_end_of_input_reaches_a_terminal(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        assert (await b.say("cat", given=b"line\n", tty=True, stdin=True)).out == (
            b"line\r\nline\r\n"
        )

    within(scenario)


def test_children_that_are_left_behind_are_not_waited_for(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        if (await b.driver.fingerprint()).runtime.startswith("runc"):
            return  # runc itself waits for them
        said = await b.say("sh", "-c", "sleep 500 & echo done; exit 4")
        assert said == Said(4, b"done\n", b"")

    within(scenario)


def test_signals(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        script = "trap 'echo caught; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
        async with b.start("sh", "-c", script) as running:
            await read_until(running, b"ready")
            running.signal(signal.SIGUSR1)
            assert await read_all(running) == b"caught\n"
            assert await running.wait() == 5
            running.signal(signal.SIGUSR1)  # nobody is there to mind

    within(scenario)


def test_a_signal_is_not_lost_that_comes_before_the_command_is_known(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        async with b.start("sleep", "1000") as running:
            running.signal(signal.SIGTERM)
            running.signal(signal.SIGTERM)
            assert await running.wait() == 128 + signal.SIGTERM

    within(scenario)


def test_a_signal_waits_for_a_runtime_that_is_long_in_starting(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, slow = shutil.which("crun"), tmp_path / "crun"
    words = f'case " $* " in *" exec "*) sleep 2;; esac; exec {real} "$@"'
    slow.write_text(f"#!/bin/sh\n{words}\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    async def scenario(driver: ConmonDriver) -> None:
        async with bench(driver, box) as b, b.start("sleep", "1000") as running:
            running.signal(signal.SIGTERM)
            async with asyncio.timeout(LIMIT):
                assert await running.wait() == 128 + signal.SIGTERM

    box.run(scenario)


@pytest.mark.parametrize("tty", [False, True])
def test_a_command_that_nobody_waits_for_ends_with_its_children(within: Any, tty: bool) -> None:
    async def scenario(b: Bench) -> None:
        script = "trap '' HUP; sleep 777 & echo ready; while :; do sleep 0.2; done"
        async with b.start("sh", "-c", script, tty=tty) as running:
            await read_until(running, b"ready")
        async with asyncio.timeout(LIMIT):  # who is killed is still shown until he has died
            while re.search("while :|sleep 777", await shown(b)):
                pass

    within(scenario)


async def shown(b: Bench) -> str:
    return (await b.say("ps", "-o", "args")).out.decode()


def test_a_reader_who_does_not_read_holds_the_command_up(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        script = "head -c 10000000 /dev/zero; echo all >&2"
        async with b.start("sh", "-c", script) as running:
            assert await running.read("stdout")
            waiting = asyncio.create_task(running.read("stderr"))
            rest = 0
            while not waiting.done() and (piece := await running.read("stdout")):
                rest += len(piece)
            assert rest > 9_000_000
            assert await waiting == b"all\n"

    within(scenario)


def test_the_end_of_the_container_ends_it(within: Any) -> None:
    async def scenario(b: Bench) -> None:
        async with b.start("sh", "-c", "echo ready; exec sleep 1000") as running:
            await read_until(running, b"ready")
            await b.driver.kill(b.id)
            assert await running.wait() == 137
        with pytest.raises(SwarmError) as refused:
            await b.say("true")
        assert refused.value.code is Code.REFUSED

    within(scenario)


def test_a_successor_ends_what_a_killed_daemon_left_running(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        async with bench(driver, box) as b:
            running = b.start("sh", "-c", "trap '' HUP PIPE; echo ready; sleep 777")
            command = await running.__aenter__()
            await read_until(command, b"ready")
            successor = box.driver()
            await successor.recover()
            assert await command.wait() == 137
            await running.__aexit__(None, None, None)
            await successor.close()

    box.run(scenario)
