"""Overlay options, the mount table, and real mounts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit import mount

LOOK = """
import os, sys
from pathlib import Path
from hostkit import cgroup, mount
place = Path(os.fsdecode(bytes.fromhex(sys.argv[1])))
before = cgroup.detect()
place.mkdir()
mount.mount("none", place, "tmpfs")
assert mount.is_mounted(place)
assert not mount.is_mounted(place.parent)
assert cgroup.detect() == before
assert mount.unmount(place)
"""
"""What a daemon does while somebody has something mounted in a place of such a name."""


def test_the_lowest_layer_comes_last() -> None:
    options = mount.overlay_options([Path("/a"), Path("/b")], Path("/u"), Path("/w"))
    assert options == "lowerdir=/b:/a,upperdir=/u,workdir=/w"
    assert mount.overlay_options([Path("/a")], Path("/u"), Path("/w"), volatile=True).endswith(
        ",volatile"
    )


def test_separators_in_names_are_escaped() -> None:
    options = mount.overlay_options([Path("/a:b,c")], Path("/u:v,x"), Path("/w\\y"))
    assert options == "lowerdir=/a\\:b\\,c,upperdir=/u:v\\,x,workdir=/w\\\\y"


def test_mount_points_youngest_first_and_unescaped() -> None:
    table = "a /x ext4 rw 0 0\nb /x/y\\040z ext4 rw 0 0\nc /xy ext4 rw 0 0\nd /x/y ext4 rw 0 0\n"
    assert mount.mount_points(Path("/x"), table) == [
        Path("/x/y"),
        Path("/x/y z"),
        Path("/x"),
    ]


def test_a_line_of_the_table_ends_where_the_kernel_ends_it() -> None:
    table = "a /x/b\x0c\x0ce ext4 rw 0 0\nb /x/l\u2028 ext4 rw 0 0\n"
    assert mount.mount_points(Path("/x"), table) == [Path("/x/l\u2028"), Path("/x/b\x0c\x0ce")]


@pytest.mark.root
@pytest.mark.parametrize("name", [b"caf\xe9", b"a\r\rb", b"form\x0cfeed", "l\u2028s".encode()])
def test_odd_names_of_what_others_have_mounted(tmp_path: Path, name: bytes) -> None:
    place = os.fsencode(tmp_path) + b"/" + name
    command = ["unshare", "--mount", sys.executable, "-c", LOOK, place.hex()]
    subprocess.run(command, check=True, timeout=60)


def test_a_folder_behind_a_link_is_found_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    table = f"a {tmp_path}/disk/x ext4 rw 0 0\nb {tmp_path}/disk/x/y ext4 rw 0 0\n"
    assert mount.mount_points(tmp_path / "link/x", table) == [
        tmp_path / "disk/x/y",
        tmp_path / "disk/x",
    ]


def test_options_beyond_a_page_are_refused_before_the_kernel_cuts_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exceed one page"):
        mount.mount("overlay", tmp_path, "overlay", 0, "x" * 4096)


@pytest.mark.root
@pytest.mark.parametrize("name", ["plain", "with:colon", "with,comma", "with blank"])
def test_overlay(tmp_path: Path, name: str) -> None:
    base = tmp_path / name
    low, high, upper, work, merged = (base / n for n in ("low", "high", "upper", "work", "m"))
    for directory in (low, high, upper, work, merged):
        directory.mkdir(parents=True)
    (low / "f").write_text("low")
    (high / "f").write_text("high")
    options = mount.overlay_options([low, high], upper, work, volatile=True)
    mount.mount("overlay", merged, "overlay", 0, options)
    try:
        assert (merged / "f").read_text() == "high"
        (merged / "new").write_text("x")
        assert (upper / "new").exists()
        assert mount.mount_points(base) == [merged]
    finally:
        assert mount.unmount(merged)
    assert not mount.unmount(merged)
    assert not mount.unmount(tmp_path / "nowhere")
    assert mount.mount_points(tmp_path) == []


@pytest.mark.root
def test_the_kernel_s_refusal_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)):
        mount.mount("none", tmp_path, "no-such-file-system")
