"""Labs that come and go while others wait for them: their locks and records, without any host."""

import asyncio
import os
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import netns
from hostkit.mount import unmount
from machine.drivers.lab import cgroups, driver, naming, network, record
from machine.drivers.lab.driver import LabDriver

NAME = "machines"
COMMAND = ("swarmd",)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of labs without bridges and control groups; one goes only once somebody waits for it."""

    async def slowly(*_: object) -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(record, "check_base", lambda base: base)  # hosts hide /tmp
    monkeypatch.setattr(driver, "need_root", lambda: None)
    monkeypatch.setattr(cgroups, "remove", slowly)
    monkeypatch.setattr(network, "remove_bridge", lambda lab: None)
    return tmp_path / "labs"


async def found(base: Path) -> LabDriver:
    return await LabDriver.made_or_found(NAME, base=base, daemon=COMMAND)


def test_who_waits_for_a_lab_that_goes_makes_another_at_the_second_try(base: Path) -> None:
    async def scenario() -> None:
        lab, waiting = await found(base), await found(base)
        going = asyncio.create_task(lab.down_if_empty())
        await asyncio.sleep(0.05)
        with pytest.raises(SwarmError, match="taken down meanwhile") as late:
            await waiting.create_all(["h1"])
        assert late.value.code is Code.CONFLICT
        await going
        assert record.labs(base) == []
        assert (await found(base)).hosts() == []

    asyncio.run(scenario())


def test_two_who_remove_the_last_hosts_both_come_to_their_end(base: Path) -> None:
    async def scenario() -> None:
        labs = [await found(base), await found(base)]
        await asyncio.gather(*(lab.down_if_empty() for lab in labs))
        assert record.labs(base) == []

    asyncio.run(scenario())


def test_what_a_crash_before_the_record_left_goes_as_an_empty_lab_does(base: Path) -> None:
    naming.LabPaths(base, NAME).directory.mkdir(parents=True)
    asyncio.run(LabDriver.open(NAME, base=base).down_if_empty())
    assert record.labs(base) == []


@pytest.mark.root
def test_a_lab_whose_network_goes_while_its_links_are_looked_at_has_none(base: Path) -> None:
    lab = LabDriver.make(f"g{os.getpid()}", base=base, daemon=COMMAND)
    bridge = naming.bridge_namespace(lab.name)
    netns.create(bridge)
    unmount(netns.path(bridge))  # its name goes last
    try:
        assert asyncio.run(lab.links()) == {}
    finally:
        netns.delete(bridge)
