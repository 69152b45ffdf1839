"""The drivers over storage of others: what they note, and what they tell programs."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume import glusterfs, nfs
from runtime.volume.driver import Access, Volume
from runtime.volume.nfs import NfsDriver
from runtime.volume.sshfs import SshfsDriver


def test_what_they_were_told_to_make_is_found_by_its_name(tmp_path: Path) -> None:
    volume = Volume("v", {"sshcmd": "host:/srv"}, {"a": "b"})
    later = replace(volume, options={"sshcmd": "other:/srv"})

    async def scenario() -> None:
        await SshfsDriver(tmp_path, lambda: 0.0).create(volume)
        made = SshfsDriver(tmp_path, lambda: 9.0)
        await made.create(Volume("v"))
        assert (await made.get("v")).options == volume.options
        await made.create(later)
        known = await made.get("v")
        assert (known.options, known.path) == (later.options, None)
        assert known.created_at == "1970-01-01T00:00:00Z"
        assert [each.name for each in await made.list()] == ["v"]
        with pytest.raises(SwarmError, match="cannot shut a host out"):
            await made.fence(volume, "w1")
        await made.remove(volume)
        await made.remove(volume)
        assert await made.list() == []
        with pytest.raises(SwarmError, match="where the files are is missing"):
            await made.create(Volume("v"))

    asyncio.run(scenario())


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/volume.json").write_text("{")
    with pytest.raises(SwarmError, match="cannot be read: it is damaged") as refused:
        asyncio.run(SshfsDriver(tmp_path, lambda: 0.0).get("v"))
    assert refused.value.code is Code.INTERNAL


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": "host:/srv"}, ["-t", "nfs", "--", "host:/srv"]),
        (
            {"share": "[fd00::1]:/srv", "o": "vers=4.2,soft"},
            ["-t", "nfs", "-o", "vers=4.2,soft", "--", "[fd00::1]:/srv"],
        ),
        ({"share": "-o:/srv"}, None),
        ({"share": "host"}, None),
        ({"share": "host:/srv", "o": "a b"}, None),
        ({"device": ":/srv"}, None),
    ],
)
def test_nfs_tells_mount(options: dict[str, str], words: list[str] | None) -> None:
    if words is not None:
        assert nfs.words(options) == words
        return
    with pytest.raises(SwarmError) as refused:
        nfs.words(options)
    assert refused.value.code is Code.INVALID


def test_nfs_is_for_many_writers_or_for_readers(tmp_path: Path) -> None:
    made = NfsDriver(tmp_path, lambda: 0.0)
    volume = Volume("v", {"share": "host:/srv"})
    with pytest.raises(SwarmError, match="one host writes at a time"):
        made.check(volume)
    made.check(replace(volume, access=Access.MANY_WRITERS))
    made.check(replace(volume, read_only=True))


@pytest.mark.parametrize(
    ("options", "last"),
    [
        (
            {"servers": "a,b", "volname": "data"},
            ["--volfile-server=a", "--volfile-server=b", "--volfile-id=/data"],
        ),
        (
            {"servers": "a", "volname": "data", "subdir": "/x/y/"},
            ["--volfile-server=a", "--volfile-id=/data", "--subdir-mount=/x/y"],
        ),
        ({"servers": "", "volname": "data"}, None),
        ({"servers": "-a", "volname": "data"}, None),
        ({"servers": "a", "volname": "../data"}, None),
        ({"servers": "a", "volname": "data", "subdir": "/../x"}, None),
        ({"servers": "a", "volname": "data", "x": "y"}, None),
    ],
)
def test_glusterfs_starts_its_client(options: dict[str, str], last: list[str] | None) -> None:
    if last is not None:
        found = glusterfs.command(options)
        assert found[:2] == ["glusterfs", "--no-daemon"]
        assert found[-len(last) :] == last
        return
    with pytest.raises(SwarmError) as refused:
        glusterfs.command(options)
    assert refused.value.code is Code.INVALID
