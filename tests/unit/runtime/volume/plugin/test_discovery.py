import socket
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.plugin.discovery import Folders, find, names


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "run", (tmp_path / "etc", tmp_path / "lib"))
    for folder in (made.sockets, *made.specs):
        folder.mkdir()
    return made


def listen(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def test_a_socket_comes_before_every_file(folders: Folders) -> None:
    listen(folders.sockets / "p.sock")
    (folders.specs[0] / "p.spec").write_text("tcp://elsewhere")
    assert find("p", folders).socket == folders.sockets / "p.sock"


def test_files_are_taken_in_dockers_order(folders: Folders) -> None:
    (folders.specs[1] / "p.spec").write_text("tcp://fourth")
    (folders.specs[0] / "p.json").write_text('{"Addr": "tcp://third"}')
    assert find("p", folders).base == "http://third"
    (folders.specs[0] / "p").mkdir()
    (folders.specs[0] / "p" / "p.spec").write_text("tcp://second")
    assert find("p", folders).base == "http://second"
    (folders.specs[0] / "p.spec").write_text("tcp://first")
    assert find("p", folders).base == "http://first"


def test_a_plugin_may_have_a_folder_of_its_own(folders: Folders) -> None:
    listen(folders.sockets / "p" / "p.sock")
    listen(folders.sockets / "q" / "other.sock")
    assert find("p", folders).socket == folders.sockets / "p" / "p.sock"
    assert names(folders) == ["p"]


def test_a_file_that_is_no_socket_is_none(folders: Folders) -> None:
    (folders.sockets / "p.sock").touch()
    assert names(folders) == []
    with pytest.raises(SwarmError):
        find("p", folders)


@pytest.mark.parametrize("name", ["absent", "../etc/p", "", ".", "vieux/sshfs:latest", "x" * 300])
def test_what_nobody_announces_is_said_with_the_remedy(folders: Folders, name: str) -> None:
    with pytest.raises(SwarmError) as caught:
        find(name, folders)
    assert caught.value.code is Code.UNAVAILABLE
    assert str(folders.sockets) in caught.value.remedy


def test_all_are_listed_once(folders: Folders) -> None:
    listen(folders.sockets / "b.sock")
    (folders.specs[0] / "b.spec").write_text("tcp://b")
    (folders.specs[0] / "a.json").write_text("{}")
    (folders.specs[1] / "c").mkdir()
    (folders.specs[1] / "c" / "c.spec").write_text("tcp://c")
    (folders.specs[1] / "readme.txt").touch()
    assert names(folders) == ["a", "b", "c"]


def test_folders_that_are_not_there_hold_nothing(tmp_path: Path) -> None:
    assert names(Folders(tmp_path / "no", (tmp_path / "no",))) == []
