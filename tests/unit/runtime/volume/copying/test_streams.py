"""The archive of a volume, there and back, with real files."""

import asyncio
import io
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from api.errors import Code, SwarmError
from runtime.volume.copying.layout import HEAD, Head, written
from runtime.volume.copying.streams import fill, save
from tests.support.odd_tars import headers_of_headers

pytestmark = pytest.mark.root


async def _saved(root: Path, *, live: bool = False) -> bytes:
    return b"".join([piece async for piece in save(root, "v", {"a": "b"}, live=live)])


async def _pieces(data: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _plant(root: Path) -> None:
    root.chmod(0o750)
    os.chown(root, 33, 44)
    (root / "empty").mkdir(mode=0o700)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "file").write_bytes(os.urandom(300_000))
    (root / "deep" / ".wh.no-whiteout").write_text("a name as any")
    os.link(root / "deep" / "er" / "file", root / "second name")
    os.symlink("/etc/passwd", root / "link")
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (root / "set-id").write_text("x")
    (root / "set-id").chmod(0o4755)
    os.chown(root / "set-id", 1234, 5678)
    (root / "set-id").chmod(0o4755)
    name = os.fsencode(root) + b"/not utf-8 \xff\n"
    Path(os.fsdecode(name)).write_text("strange")
    os.setxattr(root / "set-id", "user.colour", b"blue\x00\xff")
    os.setxattr(root / "set-id", b"user.a=b%\xff", b"=\n\xff")
    with (root / "sparse").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
        file.seek(96 << 20)
        file.write(os.urandom(5000))
        file.truncate(128 << 20)
    with (root / "hole").open("wb") as file:
        file.truncate(3 << 20)
    os.utime(root / "set-id", ns=(1, 1_700_000_000_123_456_789))
    os.utime(root / "deep", ns=(1, 1_600_000_000_000_000_001))


def _seen(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for each in [root, *root.rglob("*")]:
        status = each.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = each.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(each)
        xattrs = [
            (n, os.getxattr(each, n, follow_symlinks=False))
            for n in os.listxattr(each, follow_symlinks=False)
        ]
        found[str(each.relative_to(root))] = (
            *(status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_rdev),
            *(content, tuple(xattrs), status.st_nlink if each.is_file() else 0),
        )
    return found


def _save(root: Path, *, live: bool = False) -> bytes:
    return asyncio.run(_saved(root, live=live))


def _fill(root: Path, archive: bytes, *, devices: bool = False) -> dict[str, str]:
    root.mkdir(exist_ok=True)
    return asyncio.run(fill(root, "v", _pieces(archive), devices=devices))


def _refused(root: Path, archive: bytes) -> SwarmError:
    with pytest.raises(SwarmError) as caught:
        _fill(root, archive)
    return caught.value


def _forged(*members: tarfile.TarInfo) -> bytes:
    """An archive of these entries with a good head, and no end."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        head = written(Head("v"))
        info = tarfile.TarInfo(HEAD)
        info.size = len(head)
        archive.addfile(info, io.BytesIO(head))
        for member in members:
            archive.addfile(member)
    return zstandard.compress(plain.getvalue())


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    _plant(source)
    assert _fill(target, _save(source), devices=True) == {"a": "b"}
    assert _seen(target) == _seen(source)
    assert (target / "sparse").stat().st_blocks < 100
    assert (target / "second name").stat().st_ino == (target / "deep/er/file").stat().st_ino


def test_any_tar_reads_it_and_sha256sum_checks_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    _plant(source)
    plain = zstandard.ZstdDecompressor().stream_reader(_save(source)).read()
    subprocess.run(["tar", "x"], input=plain, cwd=target, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "swarm-volume.sha256"],
        cwd=target,
        check=True,
    )


def test_sockets_are_left_out(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    source.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(source / "socket"))
        _fill(target, _save(source))
    assert not os.listdir(target)


def test_devices_come_only_where_they_are_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    os.mknod(source / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    refusal = _refused(tmp_path / "target", _save(source))
    assert refusal.code is Code.INVALID
    assert "is a device" in refusal.why


@pytest.mark.parametrize("cut", [100, 2_000, 200_000])
def test_what_is_cut_off_is_no_archive(tmp_path: Path, cut: int) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(300_000))
    assert _refused(tmp_path / "target", _save(source)[:-cut]).code is Code.INVALID


@pytest.mark.parametrize(
    ("old", "new"), [(b"content", b"cOntent"), (b'"changed": 0', b'"changed":"0')]
)
def test_another_byte_is_seen(tmp_path: Path, old: bytes, new: bytes) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    plain = zstandard.ZstdDecompressor().stream_reader(_save(source)).read()
    assert old in plain
    forged = zstandard.compress(plain.replace(old, new))
    assert _refused(tmp_path / "target", forged).code is Code.INVALID


@pytest.mark.parametrize("where", [0, 130, 600, 1100, 2600, -3000])
def test_no_damage_goes_unseen(tmp_path: Path, where: int) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content" * 100)
    plain = bytearray(zstandard.ZstdDecompressor().stream_reader(_save(source)).read())
    plain[where] ^= 0x11
    _refused(tmp_path / "target", zstandard.compress(bytes(plain)))


@pytest.mark.parametrize(
    "member",
    [
        _entry("data/../../out"),
        _entry("/etc/out"),
        _entry("elsewhere"),
        _entry("data/hard", tarfile.LNKTYPE, "/etc/passwd"),
        _entry("data/hard", tarfile.LNKTYPE, "data/../../etc/passwd"),
        _entry("data", tarfile.REGTYPE),
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    target = tmp_path / "target"
    assert _refused(target, _forged(member)).code is Code.INVALID
    assert not os.listdir(target)


def test_a_link_is_no_way_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = _forged(_entry("data/link", tarfile.SYMTYPE, str(outside)), _entry("data/link/file"))
    assert _refused(tmp_path / "target", archive).code is Code.INVALID
    assert not os.listdir(outside)


def test_more_than_there_is_room_for_is_refused_at_once(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        head = written(Head("v", size=1 << 60))
        info = tarfile.TarInfo(HEAD)
        info.size = len(head)
        archive.addfile(info, io.BytesIO(head))
    refusal = _refused(tmp_path / "target", zstandard.compress(plain.getvalue()))
    assert refusal.code is Code.EXHAUSTED


def test_garbage_is_no_archive(tmp_path: Path) -> None:
    assert _refused(tmp_path / "target", b"").code is Code.INVALID
    assert _refused(tmp_path / "target", os.urandom(10_000)).code is Code.INVALID
    chain = zstandard.compress(headers_of_headers())
    assert _refused(tmp_path / "target", chain).code is Code.INVALID


def test_a_stream_that_is_broken_off_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(20 << 20))

    async def begin() -> None:
        stream = save(tmp_path, "v", {})
        assert await anext(stream)
        await stream.aclose()

    asyncio.run(begin())
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert not any(b"copying" in Path(f"/proc/{each}/cmdline").read_bytes() for each in children)


def test_what_changes_meanwhile_is_saved_only_where_that_was_said(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "log").write_bytes(os.urandom(10_000_000))

    async def save_while_it_grows(*, live: bool) -> bytes:
        """Whoever reads it has begun, and waits for us to take what he read."""
        found = b""
        async for piece in save(source, "v", {}, live=live):
            if len(found) < 1_000_000 <= len(found) + len(piece):
                with (source / "log").open("ab") as log:
                    log.write(b"x")
            found += piece
        return found

    with pytest.raises(SwarmError) as caught:
        asyncio.run(save_while_it_grows(live=False))
    assert caught.value.code is Code.CONFLICT
    archive = asyncio.run(save_while_it_grows(live=True))
    _fill(tmp_path / "target", archive)
    assert (tmp_path / "target" / "log").stat().st_size >= 10_000_000


def test_what_could_not_be_restored_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(260):
        path /= "d"
    path.mkdir(parents=True)
    with pytest.raises(SwarmError) as caught:
        _save(tmp_path)
    assert "nested more than" in caught.value.why
