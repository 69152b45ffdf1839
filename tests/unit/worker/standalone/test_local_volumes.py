"""The volumes of a host as its operator sees them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.wants import OwnVolume, Want, own_key
from tests.support.plain_mount import VolumeBox
from worker.standalone.local_volumes import every, restore, save


def test_who_has_one_is_shown_and_only_what_nobody_has_is_removed(tmp_path: Path) -> None:
    box = VolumeBox(tmp_path)

    async def scenario() -> None:
        async with box.recovered() as host:
            for wanted in (OwnVolume("b", ""), OwnVolume("a", "local", labels={"x": "y"})):
                own = await host.own.named(wanted)
                await host.use("c1", Want(own_key(own.name), own.driver, own.volume))
            found = await every(host)
            assert [(each.name, list(each.users)) for each in found] == [
                ("a", ["c1"]),
                ("b", ["c1"]),
            ]
            assert found[0].mountpoint == str(tmp_path / "volumes/a/_data")
            assert found[0].labels == {"x": "y"}
            with pytest.raises(SwarmError, match="container c1 has it") as refused:
                await host.drop("a")
            assert refused.value.code is Code.REFUSED
            await host.leave("c1")
            await host.drop("a")
            assert [each.name for each in await every(host)] == ["b"]

    asyncio.run(scenario())


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.root
def test_what_was_saved_is_made_again_and_nothing_else_is_touched(tmp_path: Path) -> None:
    box = VolumeBox(tmp_path)

    async def scenario() -> None:
        async with box.recovered() as host:
            own = await host.own.named(OwnVolume("a", "local", labels={"x": "y"}))
            path = await host.use("c1", Want(own_key("a"), own.driver, own.volume))
            (path / "file").write_text("content")
            with pytest.raises(SwarmError, match="in use"):
                save(host, "a", live=False)
            live = b"".join([piece async for piece in save(host, "a", live=True)])
            await host.leave("c1")
            archive = b"".join([piece async for piece in save(host, "a", live=False)])
            for name, each in (("b", live), ("c", archive)):
                made = await restore(host, name, in_pieces(each), devices=False)
                assert (made.name, made.driver, dict(made.labels)) == (name, "local", {"x": "y"})
                assert (Path(made.mountpoint) / "file").read_text() == "content"
            with pytest.raises(SwarmError) as caught:
                await restore(host, "c", in_pieces(archive), devices=False)
            assert caught.value.code is Code.EXISTS
            with pytest.raises(SwarmError) as caught:
                await restore(host, "d", in_pieces(archive[:100]), devices=False)
            assert caught.value.code is Code.INVALID
            with pytest.raises(SwarmError) as caught:
                await anext(save(host, "d", live=False))
            assert caught.value.code is Code.NOT_FOUND
        async with box.recovered() as host:
            assert [each.name for each in await every(host)] == ["a", "b", "c"]

    asyncio.run(scenario())
