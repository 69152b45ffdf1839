"""The volumes of all nodes while this manager leads: it ties leases, what nodes say, and writes.

Holds no rule of its own: what renews and ends a lease is in manager.volumes.leases.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from api.errors import SwarmError
from api.v1 import objects_pb2, volume_pb2
from hostkit.clock import Clock
from hostkit.together import alongside
from manager.dispatcher.links import Feed
from manager.dispatcher.volumes import NodeVolumes
from manager.dispatcher.writer import Writer
from manager.state.changes import Event
from manager.state.proposer import Proposer
from manager.state.store import Store
from manager.state.volumes import nodes_of_volume, secrets_of
from manager.volumes import words
from manager.volumes.lapses import Lapses
from manager.volumes.leases import Leases

Confirm: TypeAlias = Callable[[], Awaitable[None]]
"""Returns once it is certain that this manager still leads, or raises."""
PATIENCE = 2.0
"""Seconds that a heartbeat waits for that; agents give it five in all."""

Volume = objects_pb2.Volume


class HeldVolumes:
    """`run` it beside the rest of the dispatcher's term; `begin` before."""

    def __init__(
        self, store: Store, proposer: Proposer, monotonic: Clock, confirm: Confirm
    ) -> None:
        self.leases = Leases()
        self._store = store
        self._monotonic = monotonic
        self._confirm = confirm
        self._words = words.Words()
        self._word_writer = Writer(
            "volumes that nodes let go",
            self._words,
            view=store,
            proposer=proposer,
            monotonic=monotonic,
        )
        self._lapse_writer = Writer(
            "leases that lapsed",
            Lapses(self.leases),
            view=store,
            proposer=proposer,
            monotonic=monotonic,
        )

    async def run(self) -> None:
        """Writes until cancelled."""
        await alongside(self._word_writer.run(), self._lapse_writer.run())

    def begin(self) -> None:
        """Leads from now on."""
        self.leases.begin(self._store.all(Volume), self._monotonic())

    def of_node(self, node_id: str) -> NodeVolumes:
        """What a node that begins to listen is to be told."""
        return NodeVolumes(
            node_id,
            lambda volume_id: self._store.get(Volume, volume_id),
            lambda volume: secrets_of(self._store, volume),
        )

    def route(self, event: Event, version: int, feed_of: Callable[[str], Feed | None]) -> None:
        """A volume changed: the nodes for which that may be news hear of it."""
        old = event.old if isinstance(event.old, Volume) else None
        new = event.new if isinstance(event.new, Volume) else None
        self.leases.observe(old, new, version, self._monotonic())
        self._lapse_writer.wake()
        both = [each for each in (old, new) if each is not None]
        for node_id in sorted({node for each in both for node in nodes_of_volume(each)}):
            if (feed := feed_of(node_id)) is not None:
                feed.observe_volume(event.object.id)
                self._tell_waiting(feed, node_id, new)

    def _tell_waiting(self, feed: Feed, node_id: str, volume: Volume | None) -> None:
        """Tasks that the node was not told of before their volume's storage lets it in."""
        if volume is not None and any(each.opens for each in volume.holders):
            for task in self._store.tasks_of_volume(volume.id):
                if task.node_id == node_id:
                    feed.observe(task.id, task)

    def resync(self) -> None:
        """Any volume may have changed."""
        version = self._store.version
        self.leases.resync(self._store.all(Volume), version, self._monotonic())
        self._lapse_writer.wake()

    async def may_renew(self, node_id: str) -> bool:
        """Whether the node has leases, and nobody else has led up to now."""
        if not self.leases.holds(node_id):
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                await self._confirm()
        except (SwarmError, TimeoutError):
            return False
        return True

    async def heard(self, node_id: str, updates: Sequence[volume_pb2.NodeVolumeStatus]) -> None:
        """Takes what a node says; returns when it is durable."""
        words.check(updates)
        gone = words.let_go(node_id, updates)
        for hold in gone:
            self.leases.given_back(hold)
        self._words.add(gone)
        await self._word_writer.durable()
