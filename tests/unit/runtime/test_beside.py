"""Images and parts of the host's files that are mounted for one container alone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from api.v1 import specs_pb2
from hostkit import mount
from runtime import beside
from runtime.conmon_driver import ConmonDriver
from tests.support.containers import Box

pytestmark = pytest.mark.root

Mount = specs_pb2.Mount
IMAGE = Mount.TYPE_IMAGE


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, ...]:
    """Two, of which the upper one hides a file of the lower; one leads out by a link."""
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for layer in (lower, upper):
        (layer / "conf").mkdir(parents=True)
        (layer / "conf" / "which").write_text(f"{layer.name}\n")
    (lower / "conf" / "only").write_text("below\n")
    os.symlink("/etc", lower / "out")
    return lower, upper


def said(box: Box, script: str, *mounts: Mount, **changes: Any) -> list[str]:
    result, lines = box.output(box.shell(f"{{ {script}; }} 2>/dev/null", mounts=mounts, **changes))
    assert result.code == 0, lines
    assert mount.mount_points(box.run_dir) == []
    return lines


def test_an_image_is_there_to_be_read(box: Box, layers: tuple[Path, ...]) -> None:
    wanted = Mount(type=IMAGE, source="i", target="/i")
    script = "cat /i/conf/which /i/conf/only; touch /i/x || echo refused"
    assert said(box, script, wanted, images={"/i": layers}) == ["upper", "below", "refused"]
    alone = said(box, "cat /i/conf/which", wanted, images={"/i": layers[:1]})
    assert alone == ["lower"]
    assert said(box, "ls -A /i | wc -l", wanted, images={"/i": ()}) == ["0"]


@pytest.mark.parametrize(
    ("subpath", "script"), [("conf", "cat /i/which"), ("conf/which", "cat /i")]
)
def test_a_part_of_an_image(box: Box, layers: tuple[Path, ...], subpath: str, script: str) -> None:
    wanted = Mount(type=IMAGE, source="i", target="/i", image_subpath=subpath)
    assert said(box, script, wanted, images={"/i": layers}) == ["upper"]


@pytest.mark.parametrize("subpath", ["none", "out/passwd", "../../etc"])
def test_no_part_of_an_image_is_outside_of_it(
    box: Box, layers: tuple[Path, ...], subpath: str
) -> None:
    wanted = Mount(type=IMAGE, source="i", target="/i", image_subpath=subpath)
    request = box.request("true", mounts=[wanted], images={"/i": layers})
    with pytest.raises(SwarmError, match="image i has no"):
        box.output(request)
    assert box.leftovers() == []
    assert list((box.run_dir / "b").iterdir()) == []


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A folder with something mounted below."""
    below = tmp_path / "top" / "below"
    below.mkdir(parents=True)
    (tmp_path / "top" / "file").write_text("there\n")
    mount.mount("tmpfs", below, "tmpfs")
    (below / "hidden").touch()
    try:
        yield tmp_path / "top"
    finally:
        mount.unmount(below)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_without_what_is_mounted_below_it(box: Box, tree: Path, read_only: bool) -> None:
    wanted = Mount(source=str(tree), target="/m", bind_recursive="disabled", read_only=read_only)
    script = "cat /m/file; ls -A /m/below | wc -l; touch /m/new && echo written || echo refused"
    assert said(box, script, wanted) == ["there", "0", "refused" if read_only else "written"]
    assert (tree / "new").exists() is not read_only
    assert (tree / "below" / "hidden").exists()


def test_a_file_without_what_is_mounted_below_it(box: Box, tree: Path) -> None:
    wanted = Mount(source=str(tree / "file"), target="/f", bind_recursive="disabled")
    assert said(box, "cat /f", wanted) == ["there"]


def test_the_next_daemon_takes_away_what_is_nobodys_and_nothing_else(box: Box, tree: Path) -> None:
    wanted = Mount(source=str(tree), target="/m", bind_recursive="disabled")
    request = box.request("sleep", "1000", mounts=[wanted])

    async def begin(driver: ConmonDriver) -> None:
        await driver.create(request)
        await driver.start(request.id)

    async def go_on(driver: ConmonDriver) -> None:
        assert mount.mount_points(box.run_dir) == [box.run_dir / "b" / request.id / "0"]

    box.run(begin, leave=True)
    stray = box.run_dir / "b" / "stray" / "0"
    stray.mkdir(parents=True)
    mount.mount(str(tree), stray, "none", mount.MS_BIND)
    box.run(go_on)
    assert list((box.run_dir / "b").iterdir()) == []
    assert (tree / "file").read_text() == "there\n"


def test_nothing_is_deleted_in_what_is_still_mounted(tmp_path: Path, tree: Path) -> None:
    place = tmp_path / "b" / "0"
    place.mkdir(parents=True)
    (place / "of the host").touch()
    with pytest.raises(OSError, match="not empty"):
        beside.unmount(tmp_path / "b")
    assert (place / "of the host").exists()


def test_a_block_device(box: Box, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"begin" + bytes(1 << 20))
    device = subprocess.run(
        ["losetup", "--find", "--show", str(disk)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        script = "head -c 5 /dev/data; echo; printf ended >/dev/data && sync && echo written"
        wanted = Mount(source=device, target="/dev/data")
        devices = (Path(device),)
        assert said(box, script, wanted, devices=devices) == ["begin", "written"]
        assert disk.read_bytes()[:5] == b"ended"
        script = "head -c 5 /dev/data; echo; printf never >/dev/data || echo refused"
        wanted.read_only = True
        assert said(box, script, wanted, devices=devices) == ["ended", "refused"]
        script = "head -c 5 /dev/data || echo refused"
        assert said(box, script, wanted) == ["refused"], "it was not given"
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
