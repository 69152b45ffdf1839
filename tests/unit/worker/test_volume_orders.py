"""Orders of a manager's volume broker, and what the agent of a node makes of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from api.errors import Code, SwarmError
from api.v1 import volume_pb2
from tests.support.paper_node import Node, until
from worker.node_volumes import NoVolumes
from worker.volume_orders import AT_ONCE

Order = volume_pb2.VolumeOrder
Piece = volume_pb2.VolumePiece
Report = volume_pb2.VolumeOrderReport


class Scripted(NoVolumes):
    """Drivers that do what they are told, once they are let."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.fails: BaseException | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.filled: list[bytes] = []

    async def carry_out(self, order: Order) -> Report:
        self.orders.append(order.id)
        if self.fails is not None:
            raise self.fails
        await self.free.wait()
        return Report(order_id=order.id, publish_context={"host": order.host_id})

    async def save(self, order: Order) -> AsyncGenerator[bytes, None]:
        yield b"one"
        if self.fails is not None:
            raise self.fails
        yield b"two"

    async def fill(self, order: Order, pieces: AsyncIterator[bytes]) -> None:
        self.filled = [piece async for piece in pieces]


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


END = Piece(end=volume_pb2.VolumeEnd())


def test_what_is_in_a_volume_is_sent_up_to_its_end_or_to_what_went_wrong(
    node: Node, volumes: Scripted
) -> None:
    async def scenario() -> None:
        broker = node.manager.volumes
        async with node.agent():
            await broker.order("a", verb=Order.VERB_SAVE)
            await broker.until(lambda: "a" in broker.sent)
            volumes.fails = SwarmError(Code.CONFLICT, "it changed")
            await broker.order("b", verb=Order.VERB_SAVE)
            await broker.until(lambda: "b" in broker.sent)
        assert broker.sent["a"] == [Piece(data=b"one"), Piece(data=b"two"), END]
        one, end = broker.sent["b"]
        assert (one.data, end.end.code) == (b"one", "conflict")
        assert "it changed" in end.end.error
        assert broker.answers == {}, "the end is the report"

    node.run(scenario)


def test_what_has_no_end_is_not_taken_for_whole(node: Node, volumes: Scripted) -> None:
    async def scenario() -> None:
        broker = node.manager.volumes
        broker.given = {"a": [Piece(data=b"one"), END], "b": [Piece(data=b"one")]}
        async with node.agent():
            await broker.order("a", verb=Order.VERB_FILL)
            assert (await broker.answer("a")).error == ""
            assert volumes.filled == [b"one"]
            await broker.order("b", verb=Order.VERB_FILL)
            assert "before it was whole" in (await broker.answer("b")).error

    node.run(scenario)


def test_a_node_without_volumes_neither_sends_nor_fills_any(node: Node) -> None:
    async def scenario() -> None:
        broker = node.manager.volumes
        broker.given = {"b": [END]}
        async with node.agent():
            await broker.order("a", verb=Order.VERB_SAVE)
            await broker.until(lambda: "a" in broker.sent)
            await broker.order("b", verb=Order.VERB_FILL)
            assert "no volumes" in (await broker.answer("b")).error
        assert "no volumes" in broker.sent["a"][-1].end.error

    node.run(scenario)
