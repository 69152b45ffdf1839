"""Clients that have networks checked, and agents that look, over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from api.errors import Code
from api.v1 import check_pb2, check_pb2_grpc
from hostkit.clock import wall
from manager.control.check import CheckBrokerService, NetworkCheckService
from manager.state.changes import copy, create, update
from manager.state.watch import WatchHub
from tests.support.builders import DOWN, network, node
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.rpc import LIMIT, as_node, ending, failure, read, served, write
from tests.support.sealed_store import SealedStore

Answer = check_pb2.CheckReportRequest
Order = check_pb2.CheckOrder
Report = check_pb2.NetworkCheckReport
Request = check_pb2.CheckNetworksRequest

SUM = {"": b"nodes", "front": b"front"}


class Agent:
    """What a node does with its orders: it tells of `wrong` until it is told to mend that."""

    def __init__(self, channel: Any, node_id: str) -> None:
        self._broker: Any = check_pb2_grpc.CheckBrokerStub(channel)
        self._who = as_node(node_id)
        self.orders: list[Order] = []
        self.wrong: list[str] = []
        self.knows = dict(SUM)
        self.silent = False
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for order in self._broker.Listen(check_pb2.ListenChecksRequest(), metadata=self._who):
            self.orders.append(order)
            if not (self.silent or order.close):
                await self._broker.Report(self.answer(order), metadata=self._who)

    def answer(self, order: Order) -> Answer:
        answer = Answer(order_id=order.id)
        answer.digests.extend(
            check_pb2.NetworkDigest(network_id=key, sum=summed)
            for key, summed in self.knows.items()
        )
        if order.fix:
            answer.report.fixes.extend(check_pb2.NetworkFix(what=each) for each in self.wrong)
            self.wrong, self.knows = [], dict(SUM)
        else:
            answer.report.findings.extend(check_pb2.NetworkFinding(what=w) for w in self.wrong)
        return answer

    async def end(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)


class Bench:
    """Nodes n1 and n2 with agents; n3 is down."""

    def __init__(self, channel: Any, checks: NetworkCheckService, proposer: DirectProposer) -> None:
        self.checks = checks
        self.proposer = proposer
        self.client: Any = check_pb2_grpc.NetworkCheckStub(channel)
        self.broker: Any = check_pb2_grpc.CheckBrokerStub(channel)
        self.n1, self.n2 = Agent(channel, "n1"), Agent(channel, "n2")

    async def reports(self, request: Request | None = None, *, fix: bool = False) -> list[Report]:
        method = self.client.Fix if fix else self.client.Check
        async with asyncio.timeout(LIMIT):
            return [report async for report in method(request or Request())]

    async def wrong(self, *, fix: bool = False, **request: str) -> dict[str, list[str]]:
        """What is wrong in the end, by node."""
        found = await self.reports(Request(**request), fix=fix)
        return {each.node_id: [one.what for one in each.findings] for each in found}


@asynccontextmanager
async def bench(limit: float) -> AsyncIterator[Bench]:
    store, hub = SealedStore(), WatchHub()
    proposer = DirectProposer(store, wall, hub)
    nodes = (node("n1"), node("n2"), node("n3", state=DOWN))
    await write(
        proposer, *(create(each) for each in nodes), create(network("front", "10.0.1.0/24"))
    )
    checks = NetworkCheckService(
        store=store, ids=counter("c"), told=lambda _: SUM, limit=limit, settle=0.01
    )
    async with served(
        lambda server: check_pb2_grpc.add_NetworkCheckServicer_to_server(checks, server),
        lambda server: check_pb2_grpc.add_CheckBrokerServicer_to_server(
            CheckBrokerService(checks), server
        ),
    ) as channel:
        made = Bench(channel, checks, proposer)
        yield made
        await asyncio.gather(made.n1.end(), made.n2.end())


def run(scenario: Callable[[Bench], Awaitable[None]], *, limit: float = LIMIT) -> None:
    async def limited() -> None:
        async with asyncio.timeout(3 * LIMIT), bench(limit) as made:
            await scenario(made)

    asyncio.run(limited())


IS_DOWN = ["the node is down: it was not looked at"]


def test_every_node_reports_and_one_that_is_down_is_a_finding() -> None:
    async def scenario(b: Bench) -> None:
        b.n2.wrong = ["a link"]
        found = await b.reports()
        assert [each.node_id for each in found][:1] == [""]
        assert {each.node_id: each.hostname for each in found[1:]} == {
            name: name for name in ("n1", "n2", "n3")
        }
        assert await b.wrong() == {"": [], "n1": [], "n2": ["a link"], "n3": IS_DOWN}
        assert not any(order.fix for order in b.n2.orders)

    run(scenario)


def test_one_node_or_one_network_alone() -> None:
    async def scenario(b: Bench) -> None:
        assert await b.wrong(node="n1", network="front") == {"": [], "n1": []}
        assert [list(order.network_ids) for order in b.n1.orders] == [["front"]]
        assert dict(b.n1.orders[0].hostnames) == {name: name for name in ("n1", "n2", "n3")}
        for request in (Request(node="n9"), Request(network="back")):
            assert (await ending(b.client.Check(request))).code is Code.NOT_FOUND

    run(scenario)


def test_what_is_wrong_is_mended_everywhere_before_anybody_looks_again() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.wrong, b.n2.wrong = ["a link"], ["an entry"]
        found = await b.reports(fix=True)
        fixed = {each.node_id: each for each in found if each.stage == Report.STAGE_FIXED}
        assert {key: [one.what for one in each.fixes] for key, each in fixed.items()} == {
            "n1": ["a link"],
            "n2": ["an entry"],
        }
        assert not any(each.findings for each in fixed.values())
        assert [order.fix for order in b.n1.orders] == [False, True, False]
        assert b.n1.orders[1].resync

    run(scenario)


def test_nothing_is_mended_where_nothing_is_wrong() -> None:
    async def scenario(b: Bench) -> None:
        assert await b.wrong(fix=True) == {"": [], "n1": [], "n2": [], "n3": IS_DOWN}
        assert not any(order.fix for order in (*b.n1.orders, *b.n2.orders))

    run(scenario)


def test_a_node_that_knows_something_else_than_it_was_told() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.knows = {"": b"nodes", "front": b"stale"}
        (words,) = (await b.wrong())["n1"]
        assert words == "the node knows otherwise of network front than the managers"
        assert (await b.wrong(network="front"))["n1"] == [words]
        assert (await b.wrong(fix=True))["n1"] == [], "it was told everything anew"

    run(scenario)


def test_a_node_that_lags_for_a_moment_is_not_told_of() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.knows = {"": b"nodes"}

        def later(order: Order) -> Answer:
            answer = Agent.answer(b.n1, order)
            b.n1.knows = dict(SUM)
            return answer

        b.n1.answer = later  # type: ignore[method-assign]
        assert (await b.wrong())["n1"] == []

    run(scenario)


def test_a_node_that_does_not_answer() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.silent = True
        (words,) = (await b.wrong())["n1"]
        assert words == "the node has not answered within 0.2 s"
        while not any(order.close for order in b.n1.orders):  # noqa: ASYNC110 - it is told
            await asyncio.sleep(0.005)

    run(scenario, limit=0.2)


def test_a_node_that_is_declared_down_meanwhile() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.silent = True
        checking = asyncio.create_task(b.wrong())
        while not b.n1.orders:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.005)
        down = copy(node("n1", state=DOWN))
        found = b.checks.store.get(type(down), "n1")
        assert found is not None
        down.meta.CopyFrom(found.meta)
        await write(b.proposer, update(down))
        assert (await checking)["n1"] == IS_DOWN

    run(scenario)


def test_who_may_report() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.silent = True
        checking = asyncio.create_task(b.reports(Request(node="n1")))
        while not b.n1.orders:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.005)
        answer = Answer(order_id=b.n1.orders[0].id)
        for who, order_id, code in (
            ("n2", answer.order_id, Code.DENIED),
            ("n1", "x", Code.NOT_FOUND),
        ):
            call = b.broker.Report(Answer(order_id=order_id), metadata=as_node(who))
            assert (await failure(call)).code is code
        await b.broker.Report(answer, metadata=as_node("n1"))
        assert len(await checking) == 2
        stranger = b.broker.Listen(check_pb2.ListenChecksRequest(), metadata=as_node("n9"))
        assert (await ending(stranger)).code is Code.NOT_FOUND

    run(scenario)


def test_a_newer_stream_of_a_node_gets_what_waits() -> None:
    async def scenario(b: Bench) -> None:
        await b.n1.end()
        checking = asyncio.create_task(b.reports(Request(node="n1")))
        older = b.broker.Listen(check_pb2.ListenChecksRequest(), metadata=as_node("n1"))
        order = await read(older)
        newer = b.broker.Listen(check_pb2.ListenChecksRequest(), metadata=as_node("n1"))
        assert await read(newer) == order
        assert (await ending(older)).code is Code.REFUSED
        await b.broker.Report(Answer(order_id=order.id), metadata=as_node("n1"))
        await checking
        newer.cancel()

    run(scenario)


def test_a_manager_that_leads_no_more_ends_all() -> None:
    async def scenario(b: Bench) -> None:
        b.n1.silent = True
        call = b.client.Check(Request(node="n1"))
        await read(call)
        while not b.n1.orders:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.005)
        b.checks.end()
        error = await ending(call)
        assert error.code is Code.UNAVAILABLE
        assert isinstance(call, grpc.aio.Call)

    run(scenario)


def test_what_managers_know_of_networks_themselves() -> None:
    async def scenario(b: Bench) -> None:
        made = b.checks.store.get(type(network("x")), "front")
        assert made is not None
        changed = copy(made)
        changed.pending, changed.warning = "no subnet is free", "10.0.1.0/24 is nearly full"
        await write(b.proposer, update(changed))
        own = (await b.reports())[0]
        assert [(each.why, each.note) for each in own.findings] == [
            ("no subnet is free", False),
            ("10.0.1.0/24 is nearly full", True),
        ]

    run(scenario)
