"""The volumes of a host as its operator sees them."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.wants import OwnVolume, Want, own_key
from tests.support.plain_mount import VolumeBox
from worker.standalone.local_volumes import every, remove


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
                await remove(host, "a")
            assert refused.value.code is Code.REFUSED
            await host.leave("c1")
            await remove(host, "a")
            assert [each.name for each in await every(host)] == ["b"]

    asyncio.run(scenario())
