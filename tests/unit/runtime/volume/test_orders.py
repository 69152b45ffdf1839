"""Orders of the managers, carried out by real drivers."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from api.v1 import volume_pb2
from runtime.volume.csi.driver import CsiDriver
from runtime.volume.csi.endpoint import Endpoint
from runtime.volume.driver import Volume
from runtime.volume.local import LocalDriver
from runtime.volume.orders import Order, Report, carry_out
from tests.support.csi_process import NAME, CsiProcess, csi_process

DATA = Volume("data")


@pytest.fixture(scope="module")
def csi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CsiProcess]:
    with csi_process(tmp_path_factory.mktemp("csi")) as driver:
        yield driver


def order(verb: Order.Verb.ValueType, host: str = "", limit: int = 60) -> Order:
    known = volume_pb2.NodeVolume(id="v1", name="data")
    made = Order(id="o1", verb=verb, volume=known, host_id=host, limit=Duration(seconds=limit))
    made.required_bytes = 1 << 20
    made.topology_required.add().segments["zone"] = "a"
    return made


def test_a_volume_of_a_controller_is_made_opened_closed_and_deleted(csi: CsiProcess) -> None:
    csi.order()
    driver = CsiDriver(Endpoint(NAME, csi.socket), csi.folder / "state")

    def done(volume: Volume, wanted: Order) -> Report:
        report = asyncio.run(carry_out(driver, volume, wanted))
        assert report.order_id == "o1"
        return report

    report = done(DATA, order(Order.VERB_CREATE))
    assert report.error == ""
    made = report.made
    assert made.handle == "vol-data-v1", "no other volume has that name at the storage"
    assert (made.capacity_bytes, made.context["made-by"]) == (1 << 20, "test")
    assert made.topology[0].segments["zone"] == "a"
    volume = replace(DATA, handle=made.handle, context=dict(made.context))
    report = done(volume, order(Order.VERB_OPEN, "n1"))
    assert dict(report.publish_context) == {"opened-to": "n1"}
    elsewhere = done(volume, order(Order.VERB_OPEN, "n2"))
    assert "n1 has it" in elsewhere.error
    assert elsewhere.undone
    assert done(volume, order(Order.VERB_FENCE, "n1")).error == ""
    assert csi.open_to(volume.handle) == []
    assert done(volume, order(Order.VERB_OPEN, "n2")).error == ""
    assert "in use" in done(volume, order(Order.VERB_DELETE)).error
    assert done(volume, order(Order.VERB_CLOSE, "n2")).error == ""
    for _ in range(2):
        assert done(volume, order(Order.VERB_DELETE)).error == ""


def test_a_driver_that_hangs_is_an_answer_too(csi: CsiProcess) -> None:
    csi.order({"CreateVolume": {"hang": True}})
    driver = CsiDriver(Endpoint(NAME, csi.socket), csi.folder / "state")
    report = asyncio.run(carry_out(driver, DATA, order(Order.VERB_CREATE, limit=1)))
    assert report.error == f"driver {NAME} was not done after 1 s"
    assert not report.undone


def test_a_driver_without_a_controller_makes_and_deletes_where_it_is(tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path, lambda: 0.0)

    async def scenario() -> None:
        report = await carry_out(driver, DATA, order(Order.VERB_CREATE))
        assert report.HasField("made")
        assert report.error == ""
        assert [known.name for known in await driver.list()] == ["data"]
        for verb in (Order.VERB_OPEN, Order.VERB_CLOSE, Order.VERB_FENCE):
            assert "local" in (await carry_out(driver, DATA, order(verb, "n1"))).error
        for _ in range(2):
            assert (await carry_out(driver, DATA, order(Order.VERB_DELETE))).error == ""
        assert await driver.list() == []

    asyncio.run(scenario())
