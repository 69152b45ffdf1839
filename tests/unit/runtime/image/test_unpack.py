"""Unpacking layers, the malicious ones above all."""

import asyncio
import contextlib
import gzip
import io
import os
import select
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop
import zstandard

from api.errors import Code, SwarmError
from runtime.image import digest as digests
from runtime.image.unpacker import Limits, Part, Unpacker
from tests.support.images import tree_of
from tests.support.odd_tars import headers_of_headers, negative_size

pytestmark = pytest.mark.root

MTIME = 1_600_000_000
ANY = "sha256:" + "0" * 64


class Tar:
    """A tar that is written entry by entry."""

    def __init__(self) -> None:
        self._body = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._body, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, content: bytes | None = None, **fields: Any) -> "Tar":
        entry = tarfile.TarInfo(name)
        entry.mtime = MTIME
        entry.mode = 0o644
        entry.size = len(content or b"")
        for key, value in fields.items():
            setattr(entry, key, value)
        self._tar.addfile(entry, io.BytesIO(content or b""))
        return self

    def dir(self, name: str, **fields: Any) -> "Tar":
        return self.add(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields})

    def link(self, name: str, target: str) -> "Tar":
        return self.add(name, type=tarfile.SYMTYPE, linkname=target)

    def hard(self, name: str, target: str) -> "Tar":
        return self.add(name, type=tarfile.LNKTYPE, linkname=target)

    def bytes(self) -> bytes:
        self._tar.close()
        return self._body.getvalue()


class Bench:
    """Unpacks archives below a directory, with the outside in sight."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root"
        self.root.mkdir(mode=0o755)
        (directory / "outside").write_text("untouched")

    def unpack(
        self,
        body: bytes | Tar,
        *,
        diff_id: str = "",
        packed: bytes = b"",
        limits: Limits = Limits(),  # noqa: B008
    ) -> dict[str, Any]:
        plain = body.bytes() if isinstance(body, Tar) else body
        blob = self.directory / "blob"
        blob.write_bytes(packed or plain)

        async def run() -> dict[str, Any]:
            part = Part(blob, 0, blob.stat().st_size)
            return await Unpacker(limits).unpack(part, diff_id or digests.of(plain), self.root)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the daemon has it
            facts = runner.run(run())
        assert (self.directory / "outside").read_text() == "untouched"
        return facts

    def refuse(self, body: bytes | Tar, **how: Any) -> SwarmError:
        with pytest.raises(SwarmError) as refusal:
            self.unpack(body, **how)
        assert (self.directory / "outside").read_text() == "untouched"
        return refusal.value

    def text(self, name: str) -> str:
        return (self.root / name).read_text()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path)


# What a layer holds


def test_everything_a_layer_may_hold(bench: Bench) -> None:
    capability = b"\x01\x00\x00\x02" + b"\x00\x04\x00\x00" + b"\x00" * 12
    headers = {
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
        "SCHILY.xattr.user.note": "ünï",
    }
    tar = (
        Tar()
        .dir("./", mode=0o711, uid=3, gid=4)
        .dir("d", mode=0o1777)
        .add("d/su", b"#!", mode=0o4755, uid=1000, gid=1001)
        .add("d/cap", b"x", uid=7, pax_headers=headers)
        .link("d/link", "/etc/passwd")
        .hard("d/hard", "d/su")
        .add("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
        .add("block", type=tarfile.BLKTYPE, devmajor=7, devminor=9)
        .add("pipe", type=tarfile.FIFOTYPE)
        .add("deep/er/file", b"12345")
    )
    assert bench.unpack(tar) == {"entries": 10, "size": 8}
    root = bench.root
    status = root.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o711, 3, 4)
    status = (root / "d/su").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4755, 1000, 1001)
    assert status.st_ino == (root / "d/hard").stat().st_ino
    assert os.getxattr(root / "d/cap", "security.capability")[:4] == capability[:4]
    assert os.getxattr(root / "d/cap", "user.note") == "ünï".encode()
    assert os.readlink(root / "d/link") == "/etc/passwd"
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK((root / "block").stat().st_mode)
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o1777
    assert stat.S_IMODE((root / "deep/er").stat().st_mode) == 0o755


def test_dates_are_exact_also_of_directories(bench: Bench) -> None:
    exact, early = {"mtime": f"{MTIME}.123456789"}, {"mtime": "-5.5"}
    tar = Tar().dir("d").add("d/old", b"", pax_headers=early).add("d/f", b"", pax_headers=exact)
    bench.unpack(tar.link("d/l", "x").add("implied/f", b""))
    assert (bench.root / "d").stat().st_mtime == MTIME
    assert (bench.root / "d/f").stat().st_mtime_ns == MTIME * 10**9 + 123456789
    assert (bench.root / "d/l").lstat().st_mtime == MTIME
    assert (bench.root / "d/old").stat().st_mtime_ns == -5_500_000_000
    assert (bench.root / "implied").stat().st_mtime == 0
    assert bench.root.stat().st_mtime == 0


@pytest.mark.parametrize("kind", ["gzip", "two gzip members", "zstd", "two zstd frames"])
def test_every_compression_is_undone(bench: Bench, kind: str) -> None:
    plain = Tar().add("f", b"x" * 100_000).bytes()
    half = len(plain) // 2
    parts = [plain[:half], plain[half:]] if "two" in kind else [plain]
    pack = gzip.compress if "gzip" in kind else zstandard.ZstdCompressor().compress
    bench.unpack(plain, packed=b"".join(pack(part) for part in parts))
    assert len(bench.text("f")) == 100_000


def test_sparse_files_stay_sparse(bench: Bench) -> None:
    source = bench.directory / "sparse"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    archive = bench.directory / "sparse.tar"
    how = ["--format=pax", "-S", "-cf", str(archive), "sparse"]
    subprocess.run(["tar", "-C", str(bench.directory), *how], check=True)
    bench.unpack(archive.read_bytes())
    unpacked = bench.root / "sparse"
    assert unpacked.stat().st_size == 64 << 20
    assert unpacked.stat().st_blocks * 512 < 8 << 20
    with unpacked.open("rb") as file:
        file.seek(32 << 20)
        assert file.read(6) == b"middle"


def test_the_same_layer_gives_the_same_tree(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    second = Bench(other)
    for each in (bench, second):
        each.unpack(Tar().dir("b").add("b/x", b"1").add(".wh.c").add("a/y", b"2"))
    dates = [
        {str(p.relative_to(each.root)): p.lstat().st_mtime_ns for p in each.root.rglob("*")}
        for each in (bench, second)
    ]
    assert tree_of(bench.root) == tree_of(second.root)
    assert dates[0] == dates[1]


# Whiteouts


def test_whiteouts_take_the_form_of_overlayfs(bench: Bench) -> None:
    bench.unpack(
        Tar().dir("d").add("d/.wh..wh..opq").add("d/new", b"n").add(".wh.gone").add("e/.wh.x")
        .add(".wh..wh.plnk/1.2", b"").add(".wh..wh.aufs", b"")
    )  # fmt: skip
    assert is_opaque(bench.root / "d")
    assert is_whiteout(bench.root / "gone")
    assert is_whiteout(bench.root / "e/x")
    assert sorted(os.listdir(bench.root)) == ["d", "e", "gone"]


@pytest.mark.parametrize("first", ["whiteout", "directory"])
def test_a_directory_in_place_of_one_is_opaque_in_either_order(bench: Bench, first: str) -> None:
    tar = Tar()
    if first == "whiteout":
        tar.add(".wh.d").dir("d").add("d/f", b"1")
    else:
        tar.dir("d").add("d/f", b"1").add(".wh.d")
    bench.unpack(tar)
    assert is_opaque(bench.root / "d")
    assert bench.text("d/f") == "1"


def test_a_file_below_a_whiteout_makes_an_opaque_directory(bench: Bench) -> None:
    bench.unpack(Tar().add(".wh.d").add("d/f", b"1"))
    assert is_opaque(bench.root / "d")


@pytest.mark.parametrize("first", ["whiteout", "file"])
def test_a_whiteout_does_not_hide_its_own_layer(bench: Bench, first: str) -> None:
    tar = Tar()
    if first == "whiteout":
        tar.add(".wh.f").add("f", b"1")
    else:
        tar.add("f", b"1").add(".wh.f")
    bench.unpack(tar)
    assert bench.text("f") == "1"


# Entries on top of each other


def test_the_last_entry_of_a_name_wins(bench: Bench) -> None:
    bench.unpack(
        Tar()
        .add("x", b"1").dir("x").add("x/in", b"2")
        .dir("y").add("y/a/b/c", b"3").add("y", b"4")
        .add("z", b"5").link("z", "/nowhere")
        .link("w", "/nowhere").add("w", b"6")
        .dir("v", mode=0o700).add("v/f", b"7").dir("v", mode=0o750)
    )  # fmt: skip
    assert bench.text("x/in") == "2"
    assert bench.text("y") == "4"
    assert os.readlink(bench.root / "z") == "/nowhere"
    assert bench.text("w") == "6"
    assert not (bench.directory / "nowhere").exists()
    assert stat.S_IMODE((bench.root / "v").stat().st_mode) == 0o750
    assert bench.text("v/f") == "7"


def test_a_hard_link_is_broken_by_a_new_file(bench: Bench) -> None:
    bench.unpack(Tar().add("a", b"1").hard("b", "a").add("b", b"2").hard("c", "./a").hard("a", "a"))
    assert (bench.text("a"), bench.text("b"), bench.text("c")) == ("1", "2", "1")


def test_links_between_directories_are_followed_inside(bench: Bench) -> None:
    bench.unpack(
        Tar().dir("usr/bin").link("bin", "usr/bin").add("bin/sh", b"1").add("bin/n/x", b"2")
    )
    assert bench.text("usr/bin/sh") == "1"
    assert bench.text("usr/bin/n/x") == "2"
    assert (bench.root / "usr/bin").stat().st_mtime == MTIME


# Nothing gets out


@pytest.mark.parametrize("name", ["../outside", "/../outside", "a/../../../outside", "/outside",
                                  "./../../outside", "..//..//outside"])  # fmt: skip
def test_no_name_leads_out(bench: Bench, name: str) -> None:
    bench.unpack(Tar().add(name, b"evil"))
    assert bench.text("outside") == "evil"


def test_no_link_leads_out(bench: Bench) -> None:
    outside = str(bench.directory)
    error = bench.refuse(Tar().link("evil", outside).add("evil/outside", b"evil"))
    assert error.code is Code.INVALID
    bench.unpack(Tar().link("up", "../../../..").add("up/outside", b"evil"))
    assert bench.text("outside") == "evil"


def test_a_hard_link_to_the_outside_is_refused(bench: Bench) -> None:
    error = bench.refuse(Tar().hard("evil", str(bench.directory / "outside")))
    assert "hard link" in str(error)


def test_a_hard_link_to_a_link_is_not_followed(bench: Bench) -> None:
    bench.unpack(Tar().link("l", "/target").add("target", b"1").hard("h", "l"))
    assert os.readlink(bench.root / "h") == "/target"


def test_attributes_of_overlayfs_are_dropped(bench: Bench) -> None:
    headers = {
        f"SCHILY.xattr.{name}": "y"
        for name in ("trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.redirect")
    }
    bench.unpack(Tar().dir("d", pax_headers=headers))
    assert os.listxattr(bench.root / "d") == []


INVALID: dict[str, bytes | Tar] = {
    "no tar": b"nonsense" * 200,
    "garbage for a header": Tar().add("a", b"1").bytes()[:1024] + b"\x01" * 9216,
    "a file that ends early": Tar().add("a", b"1" * 5000).bytes()[:2000],
    "half a header": Tar().add("a", b"1").bytes()[:1024] + b"b" * 100,
    "a file as a directory": Tar().add("a", b"1").add("a/b", b"2"),
    "a dangling link as a directory": Tar().link("a", "/nowhere").add("a/b", b"2"),
    "a loop of links": Tar().link("a", "b").link("b", "a").add("a/x", b"1"),
    "a missing target": Tar().hard("a", "b"),
    "a directory as target": Tar().dir("d").hard("a", "d"),
    "a file for the root": Tar().add("/", b"1", type=tarfile.REGTYPE),
    "an unknown type": Tar().add("a", type=b"Z"),
    "a whiteout of nothing": Tar().add(".wh."),
    "a whiteout of the parent": Tar().add("d/.wh..."),
    "a nul in a name": Tar().add("a", b"", pax_headers={"path": "a\0b"}),
    "headers of headers": headers_of_headers(),
    "too deep": Tar().add("/".join("d" * 300), b""),
}


@pytest.mark.parametrize("case", INVALID)
def test_what_is_no_layer_is_refused(bench: Bench, case: str) -> None:
    error = bench.refuse(INVALID[case])
    assert error.code is Code.INVALID, str(error)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_damaged_compression_is_refused(bench: Bench, pack: Any) -> None:
    plain = Tar().add("a", os.urandom(50_000)).bytes()
    packed = pack(plain)
    cut = packed[: len(packed) // 2]
    assert bench.refuse(plain, packed=cut).code is Code.INVALID
    for name in os.listdir(bench.root):
        (bench.root / name).unlink()
    flipped = packed[:1000] + b"\xff\xff\xff\xff" + packed[1004:]
    assert bench.refuse(plain, packed=flipped).code in (Code.INVALID, Code.REFUSED)


def test_another_layer_than_the_promised_is_refused(bench: Bench) -> None:
    error = bench.refuse(Tar().add("a", b"1"), diff_id=ANY)
    assert error.code is Code.REFUSED
    assert "expected sha256:0000" in error.why


def test_bytes_behind_the_end_count_for_the_digest(bench: Bench) -> None:
    plain = Tar().add("a", b"1").bytes()
    error = bench.refuse(plain + b"\0" * 512, diff_id=digests.of(plain))
    assert error.code is Code.REFUSED


# Bombs


def test_bombs_are_stopped(bench: Bench) -> None:
    many = Tar()
    for number in range(11):
        many.add(str(number), b"")
    assert bench.refuse(many, limits=Limits(max_entries=10)).code is Code.EXHAUSTED


def test_a_bomb_of_zeros_is_stopped(bench: Bench) -> None:
    plain = Tar().add("a", b"\0" * (4 << 20)).bytes()
    how = {"packed": gzip.compress(plain), "limits": Limits(max_bytes=1 << 20)}
    assert bench.refuse(plain, **how).code is Code.EXHAUSTED


def test_a_bomb_behind_the_end_is_stopped(bench: Bench) -> None:
    plain = Tar().add("a", b"1").bytes() + b"\0" * (4 << 20)
    how = {"packed": gzip.compress(plain), "limits": Limits(max_bytes=1 << 20)}
    assert bench.refuse(plain, **how).code is Code.EXHAUSTED


def test_a_giant_header_is_stopped(bench: Bench) -> None:
    tar = Tar().add("a", b"", pax_headers={"comment": "x" * (5 << 20)})
    assert bench.refuse(tar).code is Code.INVALID


def test_a_negative_size_is_stopped(bench: Bench) -> None:
    assert bench.refuse(negative_size("a")).code is Code.INVALID


# Its process


class Endless:
    """A layer with so many zeros behind its end that unpacking it lasts until it is stopped."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "endless"
        self.path.write_bytes(Tar().add("a", b"1").bytes())
        self.size = 256 << 30
        os.truncate(self.path, self.size)


def test_a_cancelled_unpacking_leaves_no_process(bench: Bench) -> None:
    endless = Endless(bench.directory)

    async def scenario() -> None:
        part = Part(endless.path, 0, endless.size)
        limits = Limits(max_bytes=endless.size)
        unpacking = asyncio.create_task(Unpacker(limits).unpack(part, ANY, bench.root))
        child = await asyncio.to_thread(_child_of, os.getpid())
        unpacking.cancel()
        await asyncio.wait([unpacking])
        assert unpacking.cancelled()
        assert not os.path.exists(f"/proc/{child}")  # noqa: ASYNC240  # blocks for nothing

    asyncio.run(scenario())


def test_unpacking_does_not_outlive_its_caller(bench: Bench) -> None:
    endless = Endless(bench.directory)
    script = (
        "import asyncio, sys; from pathlib import Path; from runtime.image.unpacker import *\n"
        "path, size, diff_id, root = sys.argv[1:]\n"
        "part = Part(Path(path), 0, int(size))\n"
        "work = Unpacker(Limits(max_bytes=int(size))).unpack(part, diff_id, Path(root))\n"
        "asyncio.run(work)"
    )
    words = (script, endless.path, str(endless.size), ANY, bench.root)
    with subprocess.Popen([sys.executable, "-c", *words]) as caller:
        child = os.pidfd_open(_child_of(caller.pid))
        try:
            caller.kill()
            caller.wait()
            assert select.select([child], [], [], 60)[0] == [child]
        finally:
            os.close(child)


def _child_of(parent: int) -> int:
    """The unpacking process that `parent` starts, once it is there."""
    while True:
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"runtime.image.unpack" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        time.sleep(0.01)


def test_the_daemon_is_not_forked(bench: Bench) -> None:
    """gRPC says no to a fork while its threads run, and it costs as much as the daemon is large."""
    forks: list[int] = []
    os.register_at_fork(before=lambda: forks.append(1))
    bench.unpack(Tar().dir("etc"))
    assert forks == []
