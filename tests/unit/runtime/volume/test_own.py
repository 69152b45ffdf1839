"""The volumes that are a host's own: what is on record, and what their driver has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from runtime.volume.driver import Volume
from runtime.volume.drivers import Drivers
from runtime.volume.local import LocalDriver
from runtime.volume.own import OwnVolumes
from runtime.volume.records import Records
from runtime.volume.wants import OwnVolume


class FullDisk(Records):
    """Records that cannot be written once."""

    is_full = True

    def keep_volume(self, volume: OwnVolume) -> None:
        if self.is_full:
            self.is_full = False
            raise SwarmError(Code.UNAVAILABLE, "the disk is full")
        super().keep_volume(volume)


Scenario = Callable[[OwnVolumes, LocalDriver], Awaitable[None]]


def run(folder: Path, scenario: Scenario, kind: type[Records] = Records) -> None:
    async def whole() -> None:
        records = kind(folder / "volumes.db")
        local = LocalDriver(folder / "volumes", lambda: 0.0)
        own = OwnVolumes(records, Drivers([local]), lambda: 0.0)
        await own.load()
        try:
            await scenario(own, local)
        finally:
            records.close()

    asyncio.run(whole())


async def archive(folder: Path, text: str) -> AsyncIterator[bytes]:
    """Of a volume with one file."""
    local = LocalDriver(folder / "others", lambda: 0.0)
    source = Volume(f"source-{text}")
    await local.create(source)
    (folder / "others" / source.name / "_data/file").write_text(text)
    async for piece in local.save(source, "title", live=False):
        yield piece


def test_what_cannot_be_noted_is_not_made(tmp_path: Path) -> None:
    async def scenario(own: OwnVolumes, local: LocalDriver) -> None:
        with pytest.raises(SwarmError, match="the disk is full"):
            await own.named(OwnVolume("data", "local"))
        assert (own.every(), await local.list()) == ([], [])
        other = await own.named(OwnVolume("data", "local", {"type": "tmpfs", "device": "tmpfs"}))
        assert own.every() == [other]
        await own.drop("data")
        assert await local.list() == []

    run(tmp_path, scenario, FullDisk)


def test_what_cannot_be_made_is_not_on_record(tmp_path: Path) -> None:
    async def scenario(own: OwnVolumes, _: LocalDriver) -> None:
        with pytest.raises(SwarmError, match="has no option"):
            await own.named(OwnVolume("data", "local", {"colour": "red"}))
        assert own.every() == []

    async def later(own: OwnVolumes, _: LocalDriver) -> None:
        assert own.every() == []

    run(tmp_path, scenario)
    run(tmp_path, later)


def test_one_whose_making_was_cut_off_is_known_and_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(own: OwnVolumes, local: LocalDriver) -> None:
        create, made = local.create, asyncio.Event()

        async def too_long(volume: Volume) -> None:
            await create(volume)
            made.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(local, "create", too_long)
        making = asyncio.create_task(own.named(OwnVolume("data", "local")))
        await made.wait()
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert [each.name for each in own.every()] == ["data"]

    async def later(own: OwnVolumes, local: LocalDriver) -> None:
        assert [each.name for each in own.every()] == ["data"]
        await own.drop("data")
        assert await local.list() == []

    run(tmp_path, cut_off)
    run(tmp_path, later)


@pytest.mark.root
def test_a_restored_volume_that_cannot_be_noted_is_none(tmp_path: Path) -> None:
    async def scenario(own: OwnVolumes, local: LocalDriver) -> None:
        with pytest.raises(SwarmError, match="the disk is full"):
            await own.restore("data", archive(tmp_path, "first"), devices=False)
        assert (own.every(), await local.list()) == ([], [])
        await own.restore("data", archive(tmp_path, "second"), devices=False)
        path = (await local.get("data")).path
        assert path is not None
        assert (path / "file").read_text() == "second"

    run(tmp_path, scenario, FullDisk)


@pytest.mark.root
def test_data_that_is_not_on_record_is_neither_replaced_nor_taken_for_the_archive_s(
    tmp_path: Path,
) -> None:
    async def scenario(own: OwnVolumes, local: LocalDriver) -> None:
        await local.create(Volume("data"))
        (tmp_path / "volumes/data/_data/file").write_text("precious")
        with pytest.raises(SwarmError, match="none of the host's own") as caught:
            await own.restore("data", archive(tmp_path, "other"), devices=False)
        assert caught.value.code is Code.EXISTS
        await own.named(OwnVolume("data", ""))
        assert (tmp_path / "volumes/data/_data/file").read_text() == "precious"
        await own.drop("data")
        await own.restore("data", archive(tmp_path, "other"), devices=False)
        assert (tmp_path / "volumes/data/_data/file").read_text() == "other"

    run(tmp_path, scenario)
