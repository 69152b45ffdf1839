"""Images built of directory trees."""

import asyncio
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from runtime.image.build import Compression, ImageSource, build_layout
from runtime.image.layout import Layout
from runtime.image.manifest import OCI_INDEX
from runtime.image.platforms import Platform
from runtime.image.unpacker import Limits, Part, Unpacker
from tests.support.images import file_tree, tree_of


def build(destination: Path, *images: ImageSource, reference: str = "team/app:1") -> str:
    return asyncio.run(build_layout(destination, images, reference=reference, created=1e9))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return file_tree(tmp_path / "tree", {"etc/a": "1", "etc/b": "2", "z": "3"})


def test_the_same_trees_give_the_same_digest(tmp_path: Path, tree: Path) -> None:
    copy = shutil.copytree(tree, tmp_path / "copy", copy_function=shutil.copy)
    os.utime(copy / "z", (5, 5))
    for compression in Compression:
        one, two = (
            build(
                tmp_path / f"{name}-{compression.name}", ImageSource((each,), {}, None, compression)
            )
            for name, each in (("one", tree), ("two", copy))
        )
        assert one == two
    changed = file_tree(copy, {"z": "4"})
    assert build(tmp_path / "three", ImageSource((changed,))) != one


def test_a_configuration_goes_in(tmp_path: Path, tree: Path) -> None:
    source = ImageSource((tree,), {"Cmd": ["sh"], "User": "7"}, Platform("linux", "arm", "v7"))
    build(tmp_path / "out", source)
    layout = Layout(tmp_path / "out")
    _, blobs = layout.reachable(layout.only_image())
    config = json.loads(layout.blob(blobs[0].digest).read_bytes())
    assert config["config"] == {"Cmd": ["sh"], "User": "7"}
    assert (config["architecture"], config["variant"], config["os"]) == ("arm", "v7", "linux")
    assert config["created"] == "2001-09-09T01:46:40Z"


def test_several_platforms_make_an_index(tmp_path: Path, tree: Path) -> None:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    digest = build(tmp_path / "out", *(ImageSource((tree,), platform=p) for p in platforms))
    layout = Layout(tmp_path / "out")
    top = layout.only_image()
    assert (top.media_type, top.digest) == (OCI_INDEX, digest)
    manifests, blobs = layout.reachable(top)
    assert manifests[-1] == top
    assert [each.platform for each in manifests[:-1]] == list(platforms)
    assert len(blobs) == 3  # two configurations, and the layer that both share


@pytest.mark.root
@pytest.mark.parametrize("compression", Compression)
def test_unpacking_gives_the_tree_back(
    tmp_path: Path, tree: Path, compression: Compression
) -> None:
    (tree / "link").symlink_to("/etc/a")
    os.link(tree / "z", tree / "etc/z")
    os.mknod(tree / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mkfifo(tree / "pipe")
    (tree / "etc/b").chmod(0o4755)
    os.chown(tree / "etc/a", 1000, 1001)
    capability = b"\x01\x00\x00\x02" + b"\x00\x04\x00\x00" + b"\x00" * 12
    os.setxattr(tree / "z", "security.capability", capability)
    os.setxattr(tree / "z", "user.binary", b"\xff\x00\xfe")
    # As the upper directory of a container looks after `rm gone; rm -r dir; mkdir dir`.
    os.mknod(tree / "gone", 0o600 | stat.S_IFCHR, os.makedev(0, 0))
    (tree / "dir").mkdir()
    os.setxattr(tree / "dir", "trusted.overlay.opaque", b"y")
    build(tmp_path / "out", ImageSource((tree,), compression=compression))
    root = tmp_path / "root"
    root.mkdir()
    unpack(tmp_path / "out", root)
    assert tree_of(root) == tree_of(tree)
    assert (root / "z").stat().st_ino == (root / "etc/z").stat().st_ino
    assert os.getxattr(root / "z", "security.capability") == capability
    assert os.getxattr(root / "z", "user.binary") == b"\xff\x00\xfe"
    assert os.getxattr(root / "dir", "trusted.overlay.opaque") == b"y"


def unpack(layout: Path, root: Path) -> None:
    source = Layout(layout)
    _, (config, layer) = source.reachable(source.only_image())
    diff_id = json.loads(source.blob(config.digest).read_bytes())["rootfs"]["diff_ids"][0]
    part = Part(source.blob(layer.digest), 0, layer.size)

    async def run() -> None:
        await Unpacker(Limits()).unpack(part, diff_id, root)

    asyncio.run(run())
