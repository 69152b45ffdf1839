"""Orders of a manager's check broker, and what the agent of a node makes of them."""

import asyncio

import pytest

from api.errors import Code, SwarmError
from api.v1 import check_pb2, objects_pb2
from tests.support.paper_node import Node
from worker import checks
from worker.node_networks import NoNetworks

Answer = check_pb2.CheckReportRequest
Order = check_pb2.CheckOrder


class Scripted(NoNetworks):
    """Networks of which something is to be told."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.fails: BaseException | None = None
        self.hangs = False
        self.cancelled = asyncio.Event()

    def obstacles(self) -> list[objects_pb2.NetworkObstacle]:
        return [objects_pb2.NetworkObstacle(what="ufw drops")]

    async def check(self, order: Order) -> Answer:
        self.orders.append(order)
        if self.fails is not None:
            raise self.fails
        try:
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return Answer(order_id=order.id, report=check_pb2.NetworkCheckReport(tasks=7))


@pytest.fixture
def networks(node: Node) -> Scripted:
    made = node.networks = Scripted()
    return made


def test_each_order_is_answered(node: Node, networks: Scripted) -> None:
    async def scenario() -> None:
        broker = node.manager.checks
        async with node.agent():
            await broker.order("a", network_ids=["front"])
            await broker.order("b")
            assert (await broker.answer("a")).report.tasks == 7
            assert (await broker.answer("b")).report.tasks == 7
        assert [list(order.network_ids) for order in networks.orders] == [["front"], []]

    node.run(scenario)


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (SwarmError(Code.INTERNAL, "no rules", why="no nft"), "no rules: no nft"),
        (OSError("disk"), "disk"),
        (ValueError("odd"), "ValueError('odd')"),
    ],
)
def test_a_look_that_fails_is_an_answer(
    node: Node, networks: Scripted, fails: BaseException, words: str
) -> None:
    async def scenario() -> None:
        networks.fails = fails
        async with node.agent():
            await node.manager.checks.order("a")
            assert (await node.manager.checks.answer("a")).error == words

    node.run(scenario)


def test_a_look_that_takes_too_long(
    node: Node, networks: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LIMIT", 0.05)

    async def scenario() -> None:
        networks.hangs = True
        async with node.agent():
            await node.manager.checks.order("a")
            assert "longer than 0.05 s" in (await node.manager.checks.answer("a")).error

    node.run(scenario)


def test_an_order_that_is_taken_back_ends(node: Node, networks: Scripted) -> None:
    async def scenario() -> None:
        networks.hangs = True
        async with node.agent():
            await node.manager.checks.order("a")
            await node.manager.checks.order("a", close=True)
            await networks.cancelled.wait()
            await node.manager.checks.order("nobody's", close=True)
            networks.hangs = False
            await node.manager.checks.order("b")
            await node.manager.checks.answer("b")
        assert "a" not in node.manager.checks.answers

    node.run(scenario)


def test_whoever_mends_is_told_everything_anew(node: Node, networks: Scripted) -> None:
    async def scenario() -> None:
        manager = node.manager
        async with node.agent():
            await manager.until(lambda: manager.completes == 1)
            await manager.checks.order("a", fix=True)
            await manager.checks.answer("a")
            await manager.checks.order("b", fix=True, resync=True)
            await manager.until(lambda: manager.completes == 2)
            await manager.checks.until(lambda: manager.checks.listening == 2)

    node.run(scenario)


def test_what_is_in_the_way_stands_in_the_description(node: Node, networks: Scripted) -> None:
    async def scenario() -> None:
        async with node.agent():
            await node.manager.until(lambda: node.manager.descriptions)
        (found,) = node.manager.descriptions[0].network_obstacles
        assert found.what == "ufw drops"

    node.run(scenario)
