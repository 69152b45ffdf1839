"""The driver local on a real file system: folders, and what is mounted on them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import mount
from runtime.volume.driver import Place, Scope, Server, Volume
from runtime.volume.local import LocalDriver
from tests.support.deep_tree import make_deep

DATA = Volume("data", labels={"a": "b"})


class Nobody:
    """A Keeper that this driver never asks."""

    async def serve(self, server: Server, target: Path, deadline: float) -> int:
        raise AssertionError


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "volumes"
    for point in mount.mount_points(tmp_path):
        mount.unmount(point)


def driver(root: Path) -> LocalDriver:
    return LocalDriver(root, lambda: 0.0)


def place(root: Path) -> Place:
    return Place("id", root / "unused", Nobody())


async def in_use(made: LocalDriver, volume: Volume, root: Path) -> Path:
    await made.create(volume)
    return (await made.mount(volume, place(root))).path


def test_a_volume_is_a_folder_that_stays(root: Path) -> None:
    async def scenario() -> None:
        made = driver(root)
        assert (await made.capabilities()).scope is Scope.LOCAL
        path = await in_use(made, DATA, root)
        assert path == root / "data/_data"
        (path / "file").write_text("x")
        await made.create(DATA)
        await made.unmount(DATA, place(root))
        known = await driver(root).get("data")
        assert (known.path, known.labels) == (path, {"a": "b"})
        assert known.created_at == "1970-01-01T00:00:00Z"
        assert (path / "file").read_text() == "x"
        assert [each.name for each in await made.list()] == ["data"]
        await made.remove(DATA)
        await made.remove(DATA)
        assert not path.exists()
        with pytest.raises(SwarmError) as missing:
            await made.get("data")
        assert missing.value.code is Code.NOT_FOUND

    asyncio.run(scenario())


def test_however_deep_its_folders_are_a_volume_is_removed(root: Path) -> None:
    async def scenario() -> None:
        made = driver(root)
        make_deep(await in_use(made, DATA, root) / "deep", sys.getrecursionlimit() + 200)
        await made.unmount(DATA, place(root))
        await made.remove(DATA)

    asyncio.run(scenario())
    assert list(root.iterdir()) == []


def test_names_and_options_that_are_refused_leave_nothing(root: Path) -> None:
    async def scenario() -> None:
        made = driver(root)
        for name in ("../x", "", "a/b", ".."):
            with pytest.raises(SwarmError, match="no name of a volume"):
                await made.create(Volume(name))
        with pytest.raises(SwarmError, match="has no option"):
            await made.create(Volume("data", {"x": "y"}))
        assert await made.list() == []
        await made.create(DATA)
        with pytest.raises(SwarmError, match="there already, with other options"):
            await made.create(replace(DATA, options={"type": "tmpfs", "device": "tmpfs"}))

    asyncio.run(scenario())


@pytest.mark.root
def test_what_mount_makes_of_it_is_there_while_it_is_used(root: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bound = Volume("b", {"device": str(tmp_path / "source"), "o": "bind"})
    memory = Volume("m", {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})

    async def scenario() -> None:
        made = driver(root)
        for volume in (bound, memory):
            path = await in_use(made, volume, root)
            await made.mount(volume, place(root))
            assert mount.mount_points(root) == [path]
            (path / "file").write_text(volume.name)
            with pytest.raises(SwarmError, match="is mounted"):
                await made.remove(volume)
            await made.unmount(volume, place(root))
            assert list(path.iterdir()) == []
            await made.remove(volume)
        assert (tmp_path / "source/file").read_text() == "b"

    asyncio.run(scenario())


@pytest.mark.root
def test_what_is_mounted_behind_a_link_is_not_deleted(tmp_path: Path) -> None:
    for name in ("disk", "source"):
        (tmp_path / name).mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "disk")
    (tmp_path / "source/file").write_text("x")
    root = tmp_path / "var/volumes"
    bound = Volume("b", {"device": str(tmp_path / "source"), "o": "bind"})

    async def scenario() -> None:
        made = driver(root)
        path = await in_use(made, bound, root)
        await made.mount(bound, place(root))
        assert mount.mount_points(tmp_path) == [tmp_path / "disk/volumes/b/_data"]
        with pytest.raises(SwarmError, match="is mounted"):
            await made.remove(bound)
        await made.unmount(bound, place(root))
        assert list(path.iterdir()) == []
        await made.remove(bound)

    try:
        asyncio.run(scenario())
    finally:
        for point in mount.mount_points(tmp_path):
            mount.unmount(point)
    assert (tmp_path / "source/file").read_text() == "x"


@pytest.mark.root
def test_a_mount_that_fails_says_why(root: Path) -> None:
    async def scenario() -> None:
        made = driver(root)
        with pytest.raises(SwarmError, match="does not exist"):
            await in_use(made, Volume("b", {"device": "/nowhere/at/all", "o": "bind"}), root)
        with pytest.raises(SwarmError, match="has no file system nosuchfs"):
            await in_use(made, Volume("n", {"type": "nosuchfs", "device": "x"}), root)

    asyncio.run(scenario())


@pytest.mark.root
def test_on_btrfs_a_volume_is_a_subvolume(tmp_path: Path) -> None:
    image, top = tmp_path / "image", tmp_path / "top"
    top.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, top], check=True)

    async def scenario() -> None:
        made = driver(top / "volumes")
        path = await in_use(made, DATA, top)
        assert path.stat().st_ino == 256
        (path / "file").write_text("x")
        await made.remove(DATA)
        assert not path.exists()

    try:
        asyncio.run(scenario())
    finally:
        subprocess.run(["umount", top], check=True)


async def saved(local: LocalDriver, volume: Volume) -> bytes:
    return b"".join([piece async for piece in local.save(volume, "title", live=False)])


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.root
def test_a_volume_is_filled_from_another_one(root: Path) -> None:
    async def scenario() -> None:
        local = driver(root)
        await local.create(DATA)
        (root / "data" / "_data" / "file").write_text("content")
        archive = await saved(local, DATA)
        assert (
            await local.fill(Volume("copy"), "title", in_pieces(archive), devices=False)
            == DATA.labels
        )
        assert (await local.get("copy")).labels == DATA.labels
        assert (root / "copy" / "_data" / "file").read_text() == "content"
        assert {each.name for each in await local.list()} == {"copy", "data"}

    asyncio.run(scenario())


@pytest.mark.root
def test_one_that_is_whole_is_not_filled_again(root: Path) -> None:
    async def scenario() -> None:
        local = driver(root)
        await local.create(DATA)
        (root / "data" / "_data" / "file").write_text("content")
        await local.fill(DATA, "title", in_pieces(b"nothing that anybody reads"), devices=False)
        assert (root / "data" / "_data" / "file").read_text() == "content"

    asyncio.run(scenario())


@pytest.mark.root
def test_what_cannot_be_filled_leaves_nothing(root: Path) -> None:
    async def scenario() -> None:
        local = driver(root)
        await local.create(DATA)
        archive = await saved(local, DATA)
        with pytest.raises(SwarmError):
            await local.fill(Volume("copy"), "title", in_pieces(archive[:-200]), devices=False)
        assert [each.name for each in await local.list()] == ["data"]
        assert not (root / "copy").exists()

    asyncio.run(scenario())


def test_what_a_killed_daemon_had_begun_to_fill_goes_and_nothing_else(root: Path) -> None:
    async def scenario() -> None:
        local = driver(root)
        await local.create(DATA)
        for name in ("begun/_filling/part", "data/_filling/part", "by-hand/_data/mine"):
            (root / name).mkdir(parents=True)
        (root / "data" / "_data" / "file").write_text("content")
        await local.sweep()

    asyncio.run(scenario())
    assert {str(each.relative_to(root)) for each in root.rglob("*")} == {
        *("data", "data/_data", "data/_data/file", "data/volume.json"),
        *("by-hand", "by-hand/_data", "by-hand/_data/mine"),
    }


def test_what_is_mounted_from_elsewhere_is_not_saved(root: Path) -> None:
    async def scenario() -> None:
        local = driver(root)
        bound = Volume("bound", {"type": "tmpfs", "device": "tmpfs"})
        await local.create(bound)
        with pytest.raises(SwarmError) as caught:
            await saved(local, bound)
        assert caught.value.code is Code.UNSUPPORTED

    asyncio.run(scenario())
