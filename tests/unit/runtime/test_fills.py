"""Copy-up with real containers: an empty volume gets what the image has at its place."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from api.errors import SwarmError
from api.v1 import specs_pb2
from runtime import fill_child
from runtime import fills as module
from runtime.conmon_driver import ConmonDriver
from runtime.driver import Fill
from runtime.fills import Fills
from runtime.layout import ContainerPaths, Layout
from tests.support.containers import Box, make_request
from tests.support.until import until_true

pytestmark = pytest.mark.root


def _layer(box: Box, root: Path) -> Path:
    """An image with a folder /srv, of which a link leads to it."""
    layer = root / "layer"
    (layer / "srv/sub").mkdir(parents=True)
    (layer / "srv/file").write_text("from the image")
    (layer / "srv").chmod(0o2750)
    os.chown(layer / "srv", 1001, 1002)
    (layer / "link").symlink_to("/srv")
    return layer


@pytest.mark.parametrize("target", ["/srv", "/link"])
def test_an_empty_volume_gets_it_with_its_owner_and_mode(
    box: Box, tmp_path: Path, target: str
) -> None:
    layer, volume = _layer(box, tmp_path), tmp_path / "volume"
    volume.mkdir()

    async def scenario(driver: ConmonDriver) -> None:
        for text in ("from the image", "changed"):
            mount = specs_pb2.Mount(
                type=specs_pb2.Mount.TYPE_BIND, source=str(volume), target="/data"
            )
            request = make_request(
                "true", mounts=[mount], layers=(box.layer, layer), fills=(Fill(target, volume),)
            )
            await driver.create(request)
            await driver.remove(request.id)
            assert (volume / "file").read_text() == text
            (volume / "file").write_text("changed")

    box.run(scenario)
    facts = volume.stat()
    assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (1001, 1002, 0o2750)
    assert sorted(os.listdir(volume)) == ["file", "sub"]


def test_a_volume_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    source, volume = _folders(tmp_path)
    (volume / "own").write_text("x")
    _fill(source, volume)
    assert os.listdir(volume) == ["own"]


def test_what_was_cut_off_is_begun_anew_or_gone_on_with(tmp_path: Path) -> None:
    source, volume = _folders(tmp_path)
    for name in ("-own", "-of-a-container-that-is-gone"):
        (volume / (fill_child.COPYING + name)).mkdir()
        (volume / (fill_child.COPYING + name) / "half").write_text("")
    _fill(source, volume)
    assert sorted(os.listdir(volume)) == ["a", "b"]
    for name in ("a", "b"):
        (volume / name).unlink()
    (volume / "a").write_text("moved before the crash")
    (volume / fill_child.COPIED).mkdir()
    (volume / fill_child.COPIED / "b").write_text("b")
    _fill(source, volume)
    assert sorted(os.listdir(volume)) == ["a", "b"]
    assert (volume / "a").read_text() == "moved before the crash"


def test_a_link_in_the_volume_leads_nobody_out_of_it(tmp_path: Path) -> None:
    source, volume = _folders(tmp_path)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    (volume / fill_child.COPIED).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        _fill(source, volume)
    assert (tmp_path / "precious/file").exists()


def test_who_was_first_fills_it_and_nobody_takes_back_what_was_changed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, volume = _folders(tmp_path)
    (source / "folder").mkdir()
    (source / "folder/file").write_text("")
    copy, rename = fill_child._copy, Path.rename

    def first(handle: int) -> None:
        assert fill_child.fill(handle, volume, "first") == 0
        (volume / "a").write_text("changed")

    def beside(handle: int, own: Path) -> int:
        monkeypatch.setattr(fill_child, "_copy", copy)
        first(handle)
        return copy(handle, own)

    def just_before(own: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        handle = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
        first(handle)
        os.close(handle)
        return rename(own, target)

    for place, name, other in ((fill_child, "_copy", beside), (Path, "rename", just_before)):
        monkeypatch.setattr(place, name, other)
        _fill(source, volume)
        assert sorted(os.listdir(volume)) == ["a", "b", "folder"]
        assert (volume / "a").read_text() == "changed"
        shutil.rmtree(volume)
        volume.mkdir()


def test_a_copy_that_fails_is_no_matter_once_another_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, volume = _folders(tmp_path)
    copy = fill_child._copy

    def failing(handle: int, own: Path) -> int:
        own.mkdir()
        return 1

    def overtaken(handle: int, own: Path) -> int:
        monkeypatch.setattr(fill_child, "_copy", copy)
        assert fill_child.fill(handle, volume, "first") == 0
        return failing(handle, own)

    handle = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    monkeypatch.setattr(fill_child, "_copy", failing)
    assert fill_child.fill(handle, volume, "own") == 1
    assert os.listdir(volume) == []
    monkeypatch.setattr(fill_child, "_copy", overtaken)
    assert fill_child.fill(handle, volume, "own") == 0
    assert sorted(os.listdir(volume)) == ["a", "b"]
    os.close(handle)


def test_processes_that_fill_it_at_once_all_find_it_whole(tmp_path: Path) -> None:
    for number in range(300):
        folder = tmp_path / f"root/data/{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_text("x")
    for turn in range(6):
        volume = tmp_path / f"volume{turn}"
        volume.mkdir()
        started = []
        for name in ("one", "two"):
            started.append(_child(tmp_path / "root", volume, name))
            time.sleep(0.02 * turn)
        for child in started:
            said = child.communicate(timeout=30)[1]
            assert child.returncode == 0, said
            assert sum(len(files) for _, _, files in os.walk(volume)) >= 300
        assert sorted(os.listdir(volume)) == [str(number) for number in range(10)]


def _child(root: Path, volume: Path, container: str) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "runtime.fill_child", str(root), "/data", str(volume), container]
    return subprocess.Popen([*argv, str(os.getpid())], stderr=subprocess.PIPE)


def test_on_one_host_a_volume_is_filled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cp = _program(
        tmp_path, monkeypatch, f'echo >> {tmp_path}/copied; exec {shutil.which("cp")} "$@"'
    )
    fills, fill, paths = _asked(tmp_path)
    threads = [
        threading.Thread(target=fills.fill, args=(name, (fill,), paths)) for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cp.exists()
    assert (tmp_path / "copied").read_text() == "\n"
    assert (fill.volume / "file").read_text() == "x"


def test_no_copy_outlives_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = _endless_copy(tmp_path, monkeypatch)

    class Copies(subprocess.Popen[bytes]):
        """Whose time begins once it copies: until then a Python starts."""

        def communicate(self, *given: Any, **named: Any) -> tuple[bytes, bytes]:
            until_true(pid.exists, "it copies")
            return super().communicate(*given, **named)

    monkeypatch.setattr(subprocess, "Popen", Copies)
    monkeypatch.setattr(module, "_DEADLINE", 0.5)
    fills, fill, paths = _asked(tmp_path)
    with pytest.raises(SwarmError, match=r"0\.5 s are over"):
        fills.fill("c", (fill,), paths)
    _until_gone(int(pid.read_text()))


def test_no_copy_outlives_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = _endless_copy(tmp_path, monkeypatch)
    _asked(tmp_path)
    with subprocess.Popen([sys.executable, "-c", _DAEMON, tmp_path], cwd=_PROJECT) as daemon:
        until_true(pid.exists, "it copies")
        daemon.kill()
    _until_gone(int(pid.read_text()))


def _endless_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every copy takes for ever; where its pid stands once it has begun."""
    pid = folder / "pid"
    script = f"echo $$ > {folder}/new; mv {folder}/new {pid}; exec sleep 600"
    _program(folder, monkeypatch, script)
    return pid


_PROJECT = Path(__file__).parents[3]
_DAEMON = """
import sys
from pathlib import Path
from tests.unit.runtime.test_fills import _asked
fills, fill, paths = _asked(Path(sys.argv[1]))
fills.fill("c", (fill,), paths)
"""


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """What is called instead of cp."""
    cp = folder / "bin/cp"
    cp.parent.mkdir()
    cp.write_text(f"#!/bin/sh\n{script}\n")
    cp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{cp.parent}:{os.environ['PATH']}")
    return cp


def _asked(folder: Path) -> tuple[Fills, Fill, ContainerPaths]:
    """An empty volume, and a container whose image has a file for it."""
    paths = Layout(folder / "state", folder / "run").container("c")
    (paths.merged / "data").mkdir(parents=True, exist_ok=True)
    (paths.merged / "data/file").write_text("x")
    volume = folder / "volume"
    volume.mkdir(exist_ok=True)
    return Fills(), Fill("/data", volume), paths


def _until_gone(pid: int) -> None:
    until_true(lambda: not Path(f"/proc/{pid}").exists(), "nobody copies any more")


def _folders(tmp_path: Path) -> tuple[Path, Path]:
    source, volume = tmp_path / "source", tmp_path / "volume"
    for folder in (source, volume):
        folder.mkdir()
    for name in ("a", "b"):
        (source / name).write_text(name)
    return source, volume


def _fill(source: Path, volume: Path) -> None:
    handle = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert fill_child.fill(handle, volume, "own") == 0
    finally:
        os.close(handle)


def test_what_the_image_does_not_have_is_not_copied(box: Box, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()

    async def scenario(driver: ConmonDriver) -> None:
        request = make_request("true", layers=(box.layer,), fills=(Fill("/nowhere", volume),))
        await driver.create(request)
        await driver.remove(request.id)

    box.run(scenario)
    assert os.listdir(volume) == []
