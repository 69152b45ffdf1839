"""The dispatcher while this manager leads: it ties sessions, streams and writes to the store.

Holds no rule of its own: what ends a lease is in sessions, what a node is told in assignments and
nodes, when in routing, what is written in statuses and nodes.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable

from api.errors import SwarmError
from api.files import Key
from api.ids import IdSource
from api.v1 import dispatcher_pb2, objects_pb2, types_pb2, volume_pb2
from hostkit.clock import Clock
from hostkit.together import alongside
from manager.dispatcher import catalogue, endings, nodes, statuses
from manager.dispatcher.attachments import Attachments
from manager.dispatcher.draining import Draining
from manager.dispatcher.held_volumes import Confirm, HeldVolumes
from manager.dispatcher.links import Feed, Link
from manager.dispatcher.logins import with_login
from manager.dispatcher.networks import NodeNetworks
from manager.dispatcher.resting import Resting
from manager.dispatcher.routing import Routing
from manager.dispatcher.sessions import Chance, Sessions
from manager.dispatcher.writer import Writer
from manager.state.files import File, find
from manager.state.proposer import Proposer
from manager.state.store import Store
from manager.state.watch import WatchHub
from manager.waiting import until_due

logger = logging.getLogger(__name__)

Node = objects_pb2.Node

PULSE = 0.5
"""Seconds between two looks whether this manager itself stands still."""


class Term:
    """One time of leading. `run` begins it and ends it."""

    def __init__(
        self,
        *,
        store: Store,
        hub: WatchHub,
        proposer: Proposer,
        clock: Clock,
        monotonic: Clock,
        ids: IdSource,
        chance: Chance,
        confirm: Confirm,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._sessions = Sessions(ids, chance)
        self._links: dict[str, Link] = {}
        self._look_at: float | None = None
        self._lease_changed = asyncio.Event()
        self._awake_at = monotonic()
        self._node_reports = nodes.NodeReports()
        self._task_reports = statuses.Gathered()
        self._node_writer = Writer(
            "states of nodes",
            self._node_reports,
            view=store,
            proposer=proposer,
            monotonic=monotonic,
        )
        self._catalogue = catalogue.Catalogue(store)
        self._drains = Draining(store, self._links.get)
        self._volumes = HeldVolumes(store, proposer, monotonic, confirm)
        self._rests = Resting(
            store,
            proposer,
            monotonic,
            routed=lambda: self._routing.version,
            confirmed=self._confirmed,
        )
        self._routing = Routing(
            store,
            hub,
            self._links,
            catalogue=self._catalogue,
            drains=self._drains,
            rests=self._rests,
            volumes=self._volumes,
            present=self._sessions.nodes,
            removed=self._removed,
        )
        self._attachments = Attachments(store, hub, proposer, clock)
        self._task_writer = Writer(
            "states of tasks",
            self._task_reports,
            view=store,
            proposer=proposer,
            monotonic=monotonic,
        )

    async def run(self) -> None:
        """Leads until cancelled; then every stream ends with UNAVAILABLE."""
        self._begin()
        try:
            await alongside(
                self._node_writer.run(),
                self._task_writer.run(),
                self._rests.run(),
                self._volumes.run(),
                self._end_leases(),
                self._stay_awake(),
                self._routing.run(),
            )
        finally:
            self._routing.end()
            for link in list(self._links.values()):
                link.end(endings.not_leading())

    def _begin(self) -> None:
        self._awake_at = self._monotonic()
        self._routing.begin()
        up = [
            node.id
            for node in self._store.all(Node)
            if node.status.state != types_pb2.NODE_STATE_DOWN
        ]
        period = nodes.heartbeat_period(self._store)
        for finding in self._sessions.lead(up, self._monotonic(), period):
            self._node_reports.found(finding, self._clock())
        self._look_again()

    # --- what agents call

    async def register(
        self,
        node_id: str,
        description: objects_pb2.NodeDescription,
        address: str,
        certificate: bytes = b"",
    ) -> Link:
        """A session; returns when the node is durably `ready`. `certificate` (PEM): what its agent
        showed.
        """
        self._member(node_id)
        period = nodes.heartbeat_period(self._store)
        session = self._sessions.register(node_id, self._monotonic(), period)
        self._end(node_id, endings.replaced(node_id))
        link = self._links[node_id] = Link(session)
        self._look_again()
        shown = nodes.shown(self._store, certificate)
        self._node_reports.registered(node_id, description, address, self._clock(), shown)
        try:
            await self._node_writer.durable()
        except BaseException:
            self.leave(link)
            raise
        return link

    def leave(self, link: Link) -> None:
        """The session's stream ended."""
        finding = self._sessions.broke(link.session.id)
        if finding is not None:
            self._node_reports.found(finding, self._clock())
            self._node_writer.wake()
            self._end(finding.node_id, endings.broke())

    async def greetings(self, link: Link) -> AsyncGenerator[dispatcher_pb2.SessionMessage]:
        """What the agent is told of itself and the cluster, now and whenever that changes."""
        told: dispatcher_pb2.SessionMessage | None = None
        while True:
            link.check()
            node = self._member(link.session.node_id)
            message = nodes.greeting(self._store, node, link.session.id)
            if not nodes.is_old_news(told, message):
                told = message
                yield message
            await link.changed()

    async def heartbeat(
        self, session_id: str, node_id: str, applied: int = 0
    ) -> tuple[float, bool]:
        """Renews the session; seconds until the next heartbeat, and whether the leases of the
        node's volumes are renewed as well. `applied`: see Link.beat.
        """
        self._member(node_id)
        period, now = nodes.heartbeat_period(self._store), self._monotonic()
        after = self._sessions.heartbeat(session_id, node_id, now, period)
        link = self._links[node_id]
        link.beat(applied)
        self._drains.heard(node_id)
        if not await self._volumes.may_renew(node_id):
            return after, False
        self._routing.catch_up()
        link.check()  # another agent may have taken its place meanwhile, or this term ended
        renewed = self._volumes.leases.renew(node_id, now, link.confirmed())
        return self._volumes.leases.period(node_id, after), renewed

    async def assignments(
        self, session_id: str, node_id: str
    ) -> AsyncGenerator[dispatcher_pb2.AssignmentsMessage]:
        """The tasks of the node, now and whenever they change."""
        self._member(node_id)
        self._sessions.check(session_id, node_id)
        link = self._links[node_id]
        feed = Feed(
            node_id,
            self._find_file,
            NodeNetworks(self._catalogue),
            self._volumes.of_node(node_id),
            self._monotonic,
            lambda task: with_login(self._store, task),
            lambda: self._routing.version,
        )
        link.attach(feed, endings.second_stream())
        try:
            tasks, volumes = (
                self._store.tasks_of_node(node_id),
                self._store.volumes_of_node(node_id),
            )
            for message in feed.begin(tasks, self._drains.done_on(node_id), volumes):
                yield message
            while True:
                for message in await feed.next():
                    yield message
        finally:
            link.detach(feed)
            feed.close()

    def digests(self, node_id: str) -> dict[str, bytes] | None:
        """What a node is to know of networks, by network; None while it follows no assignments."""
        link = self._links.get(node_id)
        return None if link is None or link.feed is None else link.feed.digests()

    def _find_file(self, key: Key) -> File | None:
        return find(self._store, key)

    async def report_volumes(
        self, session_id: str, node_id: str, updates: Iterable[volume_pb2.NodeVolumeStatus]
    ) -> None:
        """Takes what an agent says of its volumes; returns when it is durable."""
        self._member(node_id)
        self._sessions.check(session_id, node_id)
        await self._volumes.heard(node_id, list(updates))

    async def report(
        self, session_id: str, node_id: str, updates: Iterable[dispatcher_pb2.TaskStatusUpdate]
    ) -> None:
        """Takes what an agent observed of its tasks; returns when it is durable."""
        self._member(node_id)
        self._sessions.check(session_id, node_id)
        checked = list(updates)
        statuses.check(self._store, node_id, checked)
        self._task_reports.add(checked)
        await self._task_writer.durable()

    async def attach(
        self, node_id: str, request: dispatcher_pb2.AttachRequest
    ) -> dispatcher_pb2.AttachResponse:
        """A place in a network for a container of the node; see attachments.py."""
        self._member(node_id)
        return await self._attachments.attach(node_id, request)

    # --- what the store and the clock say

    def _removed(self, node_id: str) -> None:
        self._sessions.forget(node_id)
        self._end(node_id, endings.removed(node_id))

    def _confirmed(self, node_id: str) -> int:
        link = self._links.get(node_id)
        return 0 if link is None else link.confirmed()

    async def _end_leases(self) -> None:
        while True:
            await until_due(self._lease_changed, lambda: self._look_at, self._monotonic)
            self._note_standstill()
            tick = self._sessions.tick(self._monotonic())
            self._look_at = tick.next_at
            for finding in tick.findings:
                logger.warning("node %s is down: %s", finding.node_id, finding.message)
                self._node_reports.found(finding, self._clock())
                self._end(finding.node_id, endings.expired(finding.message))
            self._node_writer.wake()

    async def _stay_awake(self) -> None:
        while True:
            self._note_standstill()
            await asyncio.sleep(PULSE)

    def _note_standstill(self) -> None:
        """Whoever could not be heard, as the host of this manager was halted or its disk blocked,
        is not lost for that: what nodes said meanwhile waits to be read.
        """
        now = self._monotonic()
        still, self._awake_at = now - self._awake_at - PULSE, now
        if still > nodes.heartbeat_period(self._store):
            logger.warning("this manager stood still for %.1f s; nodes are given time anew", still)
            self._sessions.stood_still(now)
            self._look_again()

    def _look_again(self) -> None:
        self._look_at = self._monotonic()
        self._lease_changed.set()

    def _end(self, node_id: str, error: SwarmError) -> None:
        link = self._links.pop(node_id, None)
        if link is not None:
            link.end(error)

    def _member(self, node_id: str) -> Node:
        node = self._store.get(Node, node_id)
        if node is None:
            raise endings.removed(node_id)
        return node
