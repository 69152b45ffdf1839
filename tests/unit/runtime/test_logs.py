"""Logs across rotation: hand-made files for every order of events, then real containers."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from api.v1 import specs_pb2
from runtime.conmon_driver import ConmonDriver
from runtime.driver import LogLine
from runtime.layout import ContainerPaths, Layout
from runtime.log_rotation import rotate
from runtime.logs import LogReader
from tests.support.containers import Box, texts


@pytest.fixture
def paths(tmp_path: Path) -> ContainerPaths:
    found = Layout(tmp_path / "state", tmp_path / "run").container("c")
    found.bundle.mkdir(parents=True)
    return found


def write(file: Path, *numbers: int, seconds: int = 0) -> None:
    """Appends lines; `seconds` moves the file's time, as the clock of the writer would."""
    with file.open("ab") as log:
        for number in numbers:
            log.write(b"2024-02-03T04:05:06.5Z stdout F %d\n" % number)
    os.utime(file, (1000 + seconds, 1000 + seconds))


def read_all(reader: LogReader) -> list[int]:
    found: list[LogLine] = []
    while lines := reader.read():
        found += lines
    return [int(line.data) for line in found]


def test_no_log_yet(paths: ContainerPaths) -> None:
    reader = LogReader(paths)
    assert read_all(reader) == []
    write(paths.log, 1, 2)
    assert read_all(reader) == [1, 2]
    reader.close()


@pytest.mark.parametrize(
    ("tail", "expected"),
    [(-1, [1, 2, 3, 4, 5]), (0, []), (1, [5]), (2, [4, 5]), (3, [3, 4, 5]), (9, [1, 2, 3, 4, 5])],
)
def test_old_and_new_file(paths: ContainerPaths, tail: int, expected: list[int]) -> None:
    write(paths.old_log, 1, 2, 3)
    write(paths.log, 4, 5, seconds=1)
    reader = LogReader(paths, tail)
    assert read_all(reader) == expected
    write(paths.log, 6, seconds=2)
    assert read_all(reader) == [6]
    reader.close()


def test_tail_of_a_long_log(paths: ContainerPaths) -> None:
    write(paths.log, *range(50_000))
    for count in (1, 1_000, 40_000):
        reader = LogReader(paths, count)
        assert read_all(reader) == list(range(50_000 - count, 50_000))
        reader.close()


def test_half_a_line_waits_for_the_rest(paths: ContainerPaths) -> None:
    write(paths.log, 1)
    with paths.log.open("ab") as log:
        log.write(b"2024-02-03T04:05:06.5Z stdo")
    reader = LogReader(paths)
    assert read_all(reader) == [1]
    with paths.log.open("ab") as log:
        log.write(b"ut F 2\n")
    assert read_all(reader) == [2]
    reader.close()


def test_rotation_under_a_reader(paths: ContainerPaths) -> None:
    write(paths.log, 1)
    reader = LogReader(paths)
    assert read_all(reader) == [1]
    os.replace(paths.log, paths.old_log)
    write(paths.old_log, 2, seconds=1)  # conmon has not heard yet
    assert read_all(reader) == [2]
    write(paths.old_log, 3, seconds=2)
    write(paths.log, 4, seconds=3)
    assert read_all(reader) == [3, 4]
    reader.close()


def test_two_rotations_between_two_looks(paths: ContainerPaths) -> None:
    write(paths.log, 1)
    reader = LogReader(paths)
    assert read_all(reader) == [1]
    write(paths.log, 2, seconds=1)
    os.replace(paths.log, paths.old_log)
    write(paths.log, 3, seconds=2)
    os.replace(paths.log, paths.old_log)
    write(paths.log, 4, seconds=3)
    assert read_all(reader) == [2, 3, 4]
    reader.close()


def test_conmon_s_own_cut_repeats_nothing(paths: ContainerPaths) -> None:
    write(paths.old_log, 1)
    write(paths.log, 2, seconds=1)
    reader = LogReader(paths)
    assert read_all(reader) == [1, 2]
    fresh = paths.bundle / "log.tmp"
    write(fresh, 3, seconds=2)
    os.replace(fresh, paths.log)
    assert read_all(reader) == [3]
    reader.close()


def test_truncation_in_place(paths: ContainerPaths) -> None:
    write(paths.log, 1, 2)
    reader = LogReader(paths)
    assert read_all(reader) == [1, 2]
    os.truncate(paths.log, 0)
    assert read_all(reader) == []
    write(paths.log, 3)
    assert read_all(reader) == [3]
    reader.close()


def test_rotation_needs_a_reason(paths: ContainerPaths) -> None:
    assert not rotate(paths, 10)
    write(paths.log, 1)
    assert not rotate(paths, 1000)
    assert rotate(paths, 10)  # nobody listens at the control fifo
    assert not paths.log.exists()
    assert paths.old_log.exists()


def test_an_order_to_reopen_that_was_lost_is_given_again(paths: ContainerPaths) -> None:
    write(paths.old_log, 1)
    os.mkfifo(paths.control)
    listener = os.open(paths.control, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert rotate(paths, 10)
        assert os.read(listener, 100) == b"2 0 0\n"
    finally:
        os.close(listener)


class Gates:
    """A folder in a container, which waits for files in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.mount = specs_pb2.Mount(source=str(folder), target="/gate")

    def open(self, name: str) -> None:
        (self._folder / name).touch()

    @staticmethod
    def waits(name: str) -> str:
        """A command that ends once the gate is open."""
        return f"while [ ! -e /gate/{name} ]; do sleep 0.02; done"


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path / "gate")


@pytest.mark.root
def test_partial_lines(box: Box, gates: Gates) -> None:
    rest = "echo ' whole'; head -c 20000 /dev/zero | tr '\\0' x; echo"
    script = f"printf half; {gates.waits('rest')}; {rest}"

    async def scenario(driver: ConmonDriver) -> None:
        request = box.shell(script, mounts=[gates.mount])
        await driver.create(request)
        await driver.start(request.id)
        lines = []
        async for line in driver.logs(request.id, follow=True):
            lines.append(line)
            gates.open("rest")
        joined = b""
        for line in lines:
            joined += line.data if line.partial else line.data + b"\n"
        assert joined == b"half whole\n" + b"x" * 20000 + b"\n"
        assert (lines[0].data, lines[0].partial) == (b"half", True)
        tail = [line async for line in driver.logs(request.id, follow=False, tail=1)]
        assert b"".join(line.data for line in tail) == b"x" * 20000

    box.run(scenario)


@pytest.mark.root
def test_tail_since_until(box: Box, gates: Gates) -> None:
    script = f"for i in 1 2 3 4 5; do echo $i; {gates.waits('$i')}; done"

    async def scenario(driver: ConmonDriver) -> None:
        request = box.shell(script, mounts=[gates.mount])
        await driver.create(request)
        await driver.start(request.id)
        async for line in driver.logs(request.id, follow=True):
            gates.open(line.data.decode())  # each line has a time of its own
        await driver.wait(request.id)
        lines = [line async for line in driver.logs(request.id, follow=False)]
        assert texts(lines) == ["1", "2", "3", "4", "5"]

        async def some(tail: int = -1, since: int = 0, until: int = 0) -> list[str]:
            found = driver.logs(request.id, follow=True, tail=tail, since=since, until=until)
            return texts([line async for line in found])

        assert await some(tail=2) == ["4", "5"]
        assert await some(tail=0) == []
        assert await some(since=lines[3].at) == ["4", "5"]
        assert await some(since=lines[3].at + 1) == ["5"], "to the nanosecond"
        assert await some(until=lines[1].at) == ["1", "2"]
        assert await some(tail=3, until=lines[3].at) == ["3", "4"]

    box.run(scenario)


@pytest.mark.root
def test_until_ends_following(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        request = box.shell("echo 1; exec sleep 1000")
        await driver.create(request)
        await driver.start(request.id)
        await anext(driver.logs(request.id, follow=True))
        until = time.time_ns() + 10**9
        found = driver.logs(request.id, follow=True, until=until)
        assert texts([line async for line in found]) == ["1"]
        assert (await driver.state(request.id)).phase == "running"

    box.run(scenario)


@pytest.mark.root
def test_a_chatty_container_neither_loses_lines_nor_fills_the_disk(box: Box, gates: Gates) -> None:
    rounds, length, limit = 4, 1000, 20_000
    # Waits after each round, so that rotation, once a second, keeps pace.
    script = (
        f"i=0; for round in $(seq {rounds}); do"
        f" e=$((i+{length})); while [ $i -lt $e ]; do echo $i; i=$((i+1)); done;"
        f" {gates.waits('$round')}; done"
    )
    request = box.shell(script, mounts=[gates.mount])
    bundle = box.state_dir / "containers" / request.id

    async def scenario(driver: ConmonDriver) -> None:
        await driver.create(request)
        await driver.start(request.id)
        data = b""
        async for line in driver.logs(request.id, follow=True):
            data += line.data if line.partial else line.data + b"\n"
            finished, rest = divmod(data.count(b"\n"), length)
            if rest == 0 and not line.partial:
                await rotated(bundle / "log", limit)
                gates.open(str(finished))
        assert data == "".join(f"{number}\n" for number in range(rounds * length)).encode()
        # A round of 50 kB is in either file, and before that what was not worth a rotation.
        # All of it would be 200 kB.
        assert sum(file.stat().st_size for file in bundle.glob("log*")) < 100_000 + limit

    box.run(scenario, log_limit=limit)


async def rotated(log: Path, limit: int) -> None:
    while not log.exists() or log.stat().st_size > limit:  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.02)


@pytest.mark.root
def test_followers_of_a_killed_container_come_to_an_end(box: Box) -> None:
    async def scenario(driver: ConmonDriver) -> None:
        request = box.shell("echo 1; exec sleep 1000")
        await driver.create(request)
        await driver.start(request.id)
        lines = driver.logs(request.id, follow=True)
        assert (await anext(lines)).data == b"1"
        await driver.signal(request.id, signal.SIGKILL)
        assert [line async for line in lines] == []

    box.run(scenario)
