"""Orders of a manager's volume broker, and what the agent of a node makes of them."""

import asyncio

import pytest

from api.v1 import volume_pb2
from tests.support.paper_node import Node, until
from worker.node_volumes import NoVolumes
from worker.volume_orders import AT_ONCE

Order = volume_pb2.VolumeOrder
Report = volume_pb2.VolumeOrderReport


class Scripted(NoVolumes):
    """Drivers that do what they are told, once they are let."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.fails: BaseException | None = None
        self.free = asyncio.Event()
        self.free.set()

    async def carry_out(self, order: Order) -> Report:
        self.orders.append(order.id)
        if self.fails is not None:
            raise self.fails
        await self.free.wait()
        return Report(order_id=order.id, publish_context={"host": order.host_id})


@pytest.fixture
def volumes(node: Node) -> Scripted:
    made = node.volumes = Scripted()
    return made


def test_each_order_is_answered(node: Node, volumes: Scripted) -> None:
    async def scenario() -> None:
        broker = node.manager.volumes
        async with node.agent():
            await broker.order("a", host_id="n1")
            await broker.order("b", host_id="n2")
            assert (await broker.answer("a")).publish_context["host"] == "n1"
            assert (await broker.answer("b")).publish_context["host"] == "n2"

    node.run(scenario)


def test_what_breaks_down_is_an_answer(node: Node, volumes: Scripted) -> None:
    async def scenario() -> None:
        volumes.fails = ValueError("odd")
        async with node.agent():
            await node.manager.volumes.order("a")
            assert (await node.manager.volumes.answer("a")).error == "ValueError('odd')"

    node.run(scenario)


def test_an_order_that_comes_twice_is_carried_out_once(node: Node, volumes: Scripted) -> None:
    async def scenario() -> None:
        volumes.free.clear()
        broker = node.manager.volumes
        async with node.agent():
            for id in ("a", "a", "b"):
                await broker.order(id)
            await until(lambda: volumes.orders == ["a", "b"])
            volumes.free.set()
            await broker.answer("a")
            await broker.answer("b")
        assert volumes.orders == ["a", "b"]

    node.run(scenario)


def test_what_was_not_begun_can_be_taken_back(node: Node, volumes: Scripted) -> None:
    async def scenario() -> None:
        volumes.free.clear()
        broker = node.manager.volumes
        begun = [str(number) for number in range(AT_ONCE)]
        async with node.agent() as agent:
            for id in (*begun, "late"):
                await broker.order(id)
            for id in ("late", begun[0], "nobody's"):
                await broker.order(id, close=True)
            await broker.order("last")
            await until(lambda: agent._orders._waiting == {"last"})
            volumes.free.set()
            await broker.answer("last")
            assert (await broker.answer(begun[0])).error == "", "what was begun is finished"
        assert volumes.orders == [*begun, "last"]

    node.run(scenario)


def test_a_node_without_volumes_says_so(node: Node) -> None:
    async def scenario() -> None:
        async with node.agent():
            await node.manager.volumes.order("a")
            assert "no volumes" in (await node.manager.volumes.answer("a")).error

    node.run(scenario)
