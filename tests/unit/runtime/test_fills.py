"""Copy-up with real containers: an empty volume gets what the image has at its place."""

import os
import stat
from pathlib import Path

import pytest

from api.v1 import specs_pb2
from runtime import fill_child
from runtime.conmon_driver import ConmonDriver
from runtime.driver import Fill
from tests.support.containers import Box, make_request

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
    (volume / fill_child.COPYING).mkdir()
    (volume / fill_child.COPYING / "half").write_text("")
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
        assert fill_child.fill(handle, volume) == 0
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
