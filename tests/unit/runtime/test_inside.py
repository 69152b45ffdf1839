"""Files of an image are read inside it, whatever its links say."""

import os
from pathlib import Path

import pytest

from runtime.inside import read_text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "passwd").write_text("outside")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "real").write_text("inside")
    return root


@pytest.mark.parametrize("link", ["/real", "../real", "../../../../real", "/../real"])
def test_links_stay_inside(root: Path, link: str) -> None:
    os.symlink(link, root / "etc/passwd")
    assert read_text(root, "/etc/passwd") == "inside"


@pytest.mark.parametrize("link", ["../../passwd", "/passwd", "passwd", "/proc/self/root/real"])
def test_no_way_out(root: Path, link: str) -> None:
    os.symlink(link, root / "etc/passwd")
    assert read_text(root, "/etc/passwd") == ""


def test_only_regular_files(root: Path) -> None:
    os.mkfifo(root / "etc/passwd")
    assert read_text(root, "/etc/passwd") == ""
    assert read_text(root, "/etc") == ""
    assert read_text(root, "/none") == ""


def test_size_and_bytes(root: Path) -> None:
    (root / "etc/big").write_bytes(b"\xff" + b"a" * (2 << 20))
    text = read_text(root, "/etc/big")
    assert len(text) == 1 << 20
    assert text.startswith("\N{REPLACEMENT CHARACTER}a")
