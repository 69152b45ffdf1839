import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.driver import Capabilities, Scope, VolumeDriver
from runtime.volume.drivers import Drivers
from runtime.volume.local import LocalDriver
from runtime.volume.own import OwnVolumes
from runtime.volume.plugin.discovery import Folders
from runtime.volume.plugin.source import PluginSource
from runtime.volume.records import Records
from runtime.volume.wants import OwnVolume
from tests.support.plugin_process import PluginProcess

LOCAL = ("local", Capabilities(Scope.LOCAL, deletes=True))
PLUGIN = ("p", Capabilities(Scope.GLOBAL, deletes=True))


class Slow(LocalDriver):
    """Answers when it is let."""

    name = "slow"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda: 0.0)
        self.free = asyncio.Event()
        self.works = True

    async def capabilities(self) -> Capabilities:
        await self.free.wait()
        if not self.works:
            raise SwarmError(Code.UNAVAILABLE, "broken")
        return Capabilities(Scope.GLOBAL)


class These:
    """A source of given drivers."""

    def __init__(self, *drivers: VolumeDriver) -> None:
        self.drivers = drivers

    async def find(self, name: str) -> VolumeDriver | None:
        return next((driver for driver in self.drivers if driver.name == name), None)

    async def every(self) -> Sequence[VolumeDriver]:
        return self.drivers


def test_a_driver_that_is_silent_holds_nobody_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        slow = Slow(tmp_path / "slow")
        local = LocalDriver(tmp_path / "local", lambda: 0.0)
        drivers = Drivers([local], [These(slow)], patience=0.05)
        known = ("slow", Capabilities(Scope.GLOBAL))
        assert await drivers.usable() == [LOCAL], "it has not answered yet"
        slow.free.set()
        assert await drivers.usable() == [LOCAL, known]
        slow.free.clear()
        assert await drivers.usable() == [LOCAL, known], "as it was when it answered last"
        slow.works = False
        slow.free.set()
        await drivers.usable()
        assert await drivers.usable() == [LOCAL]
        slow.free.clear()
        await drivers.usable()
        await drivers.close()

    asyncio.run(scenario())


def test_plugins_are_found_when_they_come_and_missed_when_they_go(tmp_path: Path) -> None:
    async def scenario() -> None:
        plugin = PluginProcess(tmp_path / "run" / "p.sock", tmp_path / "plugin")
        local = LocalDriver(tmp_path / "local", lambda: 0.0)
        source = PluginSource(Folders(tmp_path / "run", ()))
        drivers = Drivers([local], [source], patience=30.0)
        assert await drivers.usable() == [LOCAL]
        with pytest.raises(SwarmError) as caught:
            await drivers.get("p")
        assert caught.value.code is Code.NOT_FOUND
        with plugin:
            assert await drivers.usable() == [LOCAL, PLUGIN]
            assert await drivers.get("p") is await drivers.get("p")
            assert not drivers.is_built_in("p")
        assert await drivers.usable() == [LOCAL], "its socket is there, and nobody listens"
        plugin.socket.unlink()
        assert await source.every() == []
        assert await source.find("p") is None

    asyncio.run(scenario())


def test_a_plugin_that_hangs_holds_up_its_own_volumes_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        plugin = PluginProcess(tmp_path / "run" / "p.sock", tmp_path / "plugin")
        local = LocalDriver(tmp_path / "local", lambda: 0.0)
        drivers = Drivers([local], [PluginSource(Folders(tmp_path / "run", ()))])
        records = Records(tmp_path / "v.db")
        own = OwnVolumes(records, drivers, lambda: 0.0)
        with plugin, contextlib.closing(records):
            plugin.order(Create={"hang": True})
            stuck = asyncio.create_task(own.named(OwnVolume("stuck", "p")))
            while "Create" not in plugin.calls():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert (await own.named(OwnVolume("data", "local"))).name == "data"
            await own.drop("data")
            stuck.cancel()
            await asyncio.wait({stuck})
        assert [each.name for each in own.every()] == ["stuck"], "it may be there by now"

    asyncio.run(scenario())
