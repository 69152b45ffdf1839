"""This very host: what Remote promises of it."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.local import LocalRemote

pytestmark = pytest.mark.root


def done(work: Callable[[LocalRemote], Awaitable[None]]) -> None:
    async def whole() -> None:
        remote = LocalRemote.here()
        await work(remote)
        await remote.close()
        with pytest.raises(SwarmError) as failed:
            await remote.run(["true"], timeout=5)
        assert failed.value.code is Code.UNAVAILABLE

    asyncio.run(whole())


def test_commands_run_with_input_outputs_lines_and_limits() -> None:
    async def use(remote: LocalRemote) -> None:
        told: list[str] = []
        script = 'cat; echo "$LC_ALL" >&2; printf last; exit 7'
        answer = await remote.run(
            ["sh", "-c", script], stdin=b"one\ntwo\n", timeout=20, limit=5, tell=told.append
        )
        assert (answer.code, answer.out, answer.err) == (7, b"one\nt", b"C.UTF")
        assert sorted(told) == ["C.UTF-8", "last", "one", "two"]
        assert (await remote.run(["no-such-program"], timeout=20)).code == 127

    done(use)


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    async def use(remote: LocalRemote) -> None:
        left = tmp_path / "left"
        script = f"(trap 'touch {left}; exit' TERM; sleep 60 & wait) & wait"
        with pytest.raises(SwarmError) as failed:
            await remote.run(["sh", "-c", script], timeout=0.5)
        assert failed.value.code is Code.DEADLINE
        assert remote.name in failed.value.what

    done(use)


def test_files_are_replaced_as_a_whole_and_uploaded(tmp_path: Path) -> None:
    async def use(remote: LocalRemote) -> None:
        path, source, sent = tmp_path / "made here" / "file", tmp_path / "source", [0]
        await remote.write(str(path), b"content", mode=0o640, owner="daemon:daemon")
        assert (await remote.read(str(path)), path.owner()) == (b"content", "daemon")
        source.write_bytes(bytes(3 << 20))
        await remote.upload(source, str(path), mode=0o4755, tell=sent.append)
        assert path.read_bytes() == source.read_bytes()
        assert (path.stat().st_mode & 0o7777, path.owner()) == (0o4755, "root")
        assert sent[-1] == 3 << 20
        assert list(path.parent.iterdir()) == [path]

    done(use)


def test_what_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    async def use(remote: LocalRemote) -> None:
        folder = str(tmp_path)
        assert await remote.read(f"{folder}/none") is None
        assert await remote.read("/proc/self/status") is not None
        for call, code in (
            (remote.read(folder), Code.INTERNAL),
            (remote.read("relative"), Code.INVALID),
            (remote.read("/proc/self/status", limit=3), Code.EXHAUSTED),
            (remote.write(folder, b"", mode=0o600), Code.INTERNAL),
            (remote.write(f"{folder}/x", b"", mode=0o600, owner="no-such-user"), Code.INTERNAL),
            (remote.write("/proc/x/y", b"", mode=0o600), Code.INTERNAL),
            (remote.upload(tmp_path / "none", "/x", mode=0o600), Code.NOT_FOUND),
        ):
            with pytest.raises(SwarmError) as failed:
                await call
            assert failed.value.code is code, failed.value

    done(use)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_file(small: Path) -> None:
    async def use(remote: LocalRemote) -> None:
        path = small / "file"
        await remote.write(str(path), b"old", mode=0o600)
        with pytest.raises(SwarmError) as failed:
            await remote.write(str(path), bytes(1 << 20), mode=0o600)
        assert failed.value.code is Code.EXHAUSTED

    done(use)
    assert [(each.name, each.read_bytes()) for each in small.iterdir()] == [("file", b"old")]


def test_a_source_that_gets_shorter_meanwhile_replaces_nothing(tmp_path: Path) -> None:
    async def use(remote: LocalRemote) -> None:
        source, path = tmp_path / "source", tmp_path / "file"
        source.write_bytes(bytes(8 << 20))

        def shorten(_: int) -> None:
            source.write_bytes(b"")

        with pytest.raises(SwarmError) as failed:
            await remote.upload(source, str(path), mode=0o600, tell=shorten)
        assert "not all of it" in failed.value.why
        assert not path.exists()

    done(use)


def test_a_host_that_is_entered() -> None:
    """Every command goes through what leads there, with its time limit inside."""
    remote = LocalRemote("h1", lambda argv: ("env", "WHERE=inside", *argv))

    async def whole() -> str:
        return (await remote.run(["sh", "-c", "echo $WHERE $LC_ALL"], timeout=10)).text

    assert asyncio.run(whole()) == "inside C.UTF-8"
    assert remote.name == "h1"
