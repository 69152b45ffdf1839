"""The NetworkCheck and CheckBroker services of api/v1/check.proto: clients ask, agents look.

All nodes are asked at once, and each has a time in which to answer; reports go to the client as
they come. What differs, a node says; whether it knows what it was told, this manager.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

import grpc

from api.errors import Code, SwarmError
from api.ids import IdSource
from api.serving import caller
from api.v1 import check_pb2, check_pb2_grpc, objects_pb2
from manager.control import check_words as words
from manager.control.check_exchange import Answer, CheckExchange, Order
from manager.control.listener import check_member
from manager.control.resolve import resolve
from manager.state.changes import T
from manager.state.store import Store

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Request = check_pb2.CheckNetworksRequest
Report = check_pb2.NetworkCheckReport
Told = Callable[[str], Mapping[str, bytes] | None]
"""Digests of what a node of an id is to know of networks, by network; None: nobody knows now."""

LIMIT = 25.0
"""Seconds that a node has for one answer."""
_LOOK = 1.0
"""Seconds after which it is seen whether it was declared down."""
AT_ONCE = 100
"""Nodes that are asked at a time."""
SETTLE = 1.0
SETTLE_TRIES = 3
"""A node may know what it was told a moment later: seconds, and so often it is asked again."""


class NetworkCheckService(check_pb2_grpc.NetworkCheckServicer):
    """Serves clients. Agents reach the same exchange through CheckBrokerService."""

    def __init__(
        self,
        *,
        store: Store,
        ids: IdSource,
        told: Told,
        limit: float = LIMIT,
        settle: float = SETTLE,
    ) -> None:
        self.store = store
        self.exchange = CheckExchange()
        self._ids = ids
        self._told = told
        self._limit = limit
        self._settle = settle

    async def Check(self, request: Request, context: Context) -> AsyncIterator[Report]:
        """What is wrong; nothing is changed."""
        async for report in self._ask_all(request, fix=False):
            yield report

    async def Fix(self, request: Request, context: Context) -> AsyncIterator[Report]:
        """What is wrong, and what is left of it once nodes have mended what they can."""
        async for report in self._ask_all(request, fix=True):
            yield report

    def end(self) -> None:
        """This manager stops to lead: every stream of clients and agents ends."""
        self.exchange.end(
            SwarmError(
                Code.UNAVAILABLE,
                "the check was broken off",
                why="this manager does not lead any more",
                remedy="check again: another manager leads by now",
            )
        )

    async def _ask_all(self, request: Request, *, fix: bool) -> AsyncIterator[Report]:
        networks = self._chosen(objects_pb2.Network, request.network)
        nodes = self._chosen(objects_pb2.Node, request.node)
        own = Report(findings=words.of_networks(self.store, networks))
        own.networks = len(networks) or sum(1 for _ in self.store.all(objects_pb2.Network))
        yield own
        wrong = []
        asked = nodes or [node.id for node in self.store.all(objects_pb2.Node)]
        async for report in self._all(asked, lambda node_id: self._look(node_id, networks)):
            if words.can_be_mended(self.store.get(objects_pb2.Node, report.node_id), report):
                wrong.append(report.node_id)
            yield report
        if not fix:
            return
        # All of them before any is looked at again: what one lacks, others see.
        fixes = {}
        async for report in self._all(wrong, self._mend):
            fixes[report.node_id] = report.fixes
        async for report in self._all(wrong, lambda node_id: self._look(node_id, networks)):
            report.stage = Report.STAGE_FIXED
            report.fixes.extend(fixes[report.node_id])
            yield report

    async def _all(
        self, node_ids: Sequence[str], work: Callable[[str], Coroutine[Any, Any, Report]]
    ) -> AsyncIterator[Report]:
        """The reports of nodes, as they come; so many at a time as there is room for."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(node_id: str) -> Report:
            async with room:
                return await work(node_id)

        tasks = [asyncio.create_task(one(node_id)) for node_id in node_ids]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _mend(self, node_id: str) -> Report:
        answer = await self._ask(node_id, Order(fix=True, resync=True))
        report = Report() if answer is None else answer.report
        report.node_id = node_id
        return report

    async def _look(self, node_id: str, networks: Sequence[str]) -> Report:
        node = self.store.get(objects_pb2.Node, node_id)
        hostname = "" if node is None else node.description.hostname
        if (trouble := words.of_a_node(node)) is not None:
            return Report(node_id=node_id, hostname=hostname, findings=[trouble])
        answer = await self._ask(node_id, Order(network_ids=networks, hostnames=self._hostnames()))
        report = Report() if answer is None else answer.report
        report.node_id, report.hostname = node_id, hostname
        if answer is None:
            gone = words.of_a_node(self.store.get(objects_pb2.Node, node_id))
            report.findings.append(gone or words.silent(self._limit))
        elif answer.error:
            report.findings.append(words.failed(answer.error))
        else:
            lagging = await self._lagging(node_id, answer)
            chosen = [each for each in lagging if not networks or each in ("", *networks)]
            report.findings.extend(words.lagging(self.store, chosen))
        return report

    async def _lagging(self, node_id: str, answer: Answer) -> list[str]:
        """Networks of which the node knows something else than it was told some time ago."""
        known = {each.network_id: each.sum for each in answer.digests}
        if not known:  # it builds no networks
            return []
        differing: list[str] = []
        for _ in range(SETTLE_TRIES):
            told = self._told(node_id)
            if told is None:
                return []
            differing = words.differing(told, known)
            if not differing:
                return []
            await asyncio.sleep(self._settle)
            again = await self._ask(node_id, Order(digests_only=True))
            if again is None or again.error:
                return differing
            known = {each.network_id: each.sum for each in again.digests}
        return differing

    async def _ask(self, node_id: str, order: Order) -> Answer | None:
        """None if it does not answer in time, or is declared down meanwhile."""
        order.id = self._ids()
        asking = asyncio.create_task(self.exchange.ask(node_id, order))
        try:
            for _ in range(math.ceil(self._limit / _LOOK)):
                await asyncio.wait({asking}, timeout=min(_LOOK, self._limit))
                if asking.done():
                    return asking.result()
                if words.of_a_node(self.store.get(objects_pb2.Node, node_id)) is not None:
                    break
            return None
        finally:
            asking.cancel()

    def _chosen(self, kind: type[T], key: str) -> list[str]:
        """The id of what was named, or nothing; NOT_FOUND if there is none of that name."""
        return [resolve(self.store, kind, key).id] if key else []

    def _hostnames(self) -> dict[str, str]:
        nodes = self.store.all(objects_pb2.Node)
        return {node.id: node.description.hostname or node.id for node in nodes}


class CheckBrokerService(check_pb2_grpc.CheckBrokerServicer):
    """Serves agents."""

    def __init__(self, checks: NetworkCheckService) -> None:
        self._store = checks.store
        self._exchange = checks.exchange

    async def Listen(
        self, request: check_pb2.ListenChecksRequest, context: Context
    ) -> AsyncIterator[Order]:
        """What the calling node is to look at, and what nobody waits for any more."""
        node_id = caller().id
        check_member(self._store, node_id)
        listener = self._exchange.listen(node_id)
        try:
            while True:
                yield await listener.next()
        finally:
            self._exchange.leave(listener)

    async def Report(self, request: Answer, context: Context) -> check_pb2.CheckReportResponse:
        """What the calling node found."""
        self._exchange.report(caller().id, request)
        return check_pb2.CheckReportResponse()
