"""What works on a host after its connection broke is waited for by whoever comes next."""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine import succession
from machine.local import LocalRemote
from machine.succession import await_turn, in_turn
from tests.support.until import until

pytestmark = pytest.mark.root


@contextmanager
def somebody_works() -> Iterator[None]:
    """Until the end of the block a command of an earlier run is not done."""
    handle = os.open(succession.LOCKED, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def with_remote(use: Callable[[LocalRemote], Awaitable[None]]) -> None:
    async def whole() -> None:
        remote = LocalRemote.here()
        await use(remote)
        await remote.close()

    asyncio.run(whole())


def test_commands_follow_one_another_over_whatever_connection(tmp_path: Path) -> None:
    script = 'echo "$1 begins" >>"$0"; sleep 0.2; echo "$1 ends" >>"$0"'
    log = tmp_path / "log"

    async def use(remote: LocalRemote) -> None:
        other = LocalRemote.here()
        await asyncio.gather(
            *(
                each.run(in_turn(["sh", "-c", script, str(log), name]), timeout=30)
                for each, name in ((remote, "one"), (other, "two"))
            )
        )
        await other.close()

    with_remote(use)
    first, _, second, _ = (line.split()[0] for line in log.read_text().splitlines())
    assert {first, second} == {"one", "two"}
    assert log.read_text().splitlines() == [
        f"{name} {what}" for name in (first, second) for what in ("begins", "ends")
    ]


def test_the_exit_status_and_the_words_are_the_commands_own() -> None:
    async def use(remote: LocalRemote) -> None:
        argv = in_turn(["sh", "-c", 'cat; printf "%s" "$1" >&2; exit 7', "sh", "a b"])
        done = await remote.run(argv, stdin=b"fed", timeout=30)
        assert (done.code, done.out, done.err) == (7, b"fed", b"a b")

    with_remote(use)


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def use(remote: LocalRemote) -> None:
        left = f"sleep 600 </dev/null >/dev/null 2>&1 & echo $! >{pid}"
        await remote.run(in_turn(["sh", "-c", left]), timeout=30)
        assert (await remote.run(in_turn(["true"], 20), timeout=30)).code == 0
        assert (await remote.run(["kill", pid.read_text().strip()], timeout=30)).code == 0

    with_remote(use)


def test_a_run_begins_when_the_one_before_is_done() -> None:
    told: list[str] = []

    async def use(remote: LocalRemote) -> None:
        with somebody_works():
            with pytest.raises(SwarmError) as failed:
                await await_turn(remote, told.append, patience=0.2)
            assert failed.value.code is Code.CONFLICT
            assert remote.name in str(failed.value)
            waiting = asyncio.create_task(await_turn(remote, told.append))
            await until(lambda: len(told) == 2)
            assert not waiting.done()
        await waiting

    with_remote(use)
    assert told == ["waiting for what an earlier run still does there"] * 2


def test_a_file_is_replaced_when_its_turn_comes(tmp_path: Path) -> None:
    path = tmp_path / "book"
    path.write_bytes(b"old")

    def has_come() -> bool:
        return any(each.stat().st_size == 3 for each in tmp_path.glob(".swarm.*"))

    async def use(remote: LocalRemote) -> None:
        with somebody_works():
            writing = asyncio.create_task(remote.write(str(path), b"new", mode=0o600))
            await until(has_come)
            assert path.read_bytes() == b"old"
        await writing
        assert path.read_bytes() == b"new"

    with_remote(use)
    assert list(tmp_path.iterdir()) == [path]
