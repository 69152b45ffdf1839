"""Addresses that rest, while this manager leads: it ties what nodes confirmed to what is written.

Holds no rule of its own: how long an address rests is in rests.py.
"""

import logging
from collections.abc import Callable

from api.v1 import objects_pb2
from hostkit.clock import Clock
from manager.dispatcher import nodes, rests
from manager.dispatcher.writer import Writer
from manager.state.changes import Event
from manager.state.proposer import Proposer
from manager.state.store import Store

logger = logging.getLogger(__name__)

Node = objects_pb2.Node


class Resting:
    """`run` it beside the rest of the dispatcher's term; `begin` before."""

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        monotonic: Clock,
        *,
        routed: Callable[[], int],
        confirmed: Callable[[str], int],
    ) -> None:
        """`routed`: the version up to which nodes were told. `confirmed`: that which a node has
        carried out; 0: nobody knows.
        """
        self._store = store
        self._monotonic = monotonic
        self._routed = routed
        self._confirmed = confirmed
        self._rests = rests.Rests(self._confirmed_by_all)
        self._writer = Writer(
            "addresses that rest no longer",
            self._rests,
            view=store,
            proposer=proposer,
            monotonic=monotonic,
        )

    async def run(self) -> None:
        """Writes until cancelled."""
        await self._writer.run()

    def begin(self) -> None:
        """From the state as it is."""
        self._rests.begin(self._store)
        self._writer.wake()

    def observe(self, event: Event) -> None:
        """A network changed, came or went."""
        self._rests.observe(event)
        self._writer.wake()

    def _confirmed_by_all(self) -> int:
        """The version up to which every node that is up has carried out what concerns it."""
        version, latest = self._routed(), ""
        for node in self._store.all(Node):
            if nodes.may_act(node):
                confirmed = self._confirmed(node.id)
                if confirmed < version:
                    version, latest = confirmed, node.description.hostname or node.id
        if latest and self._rests.is_overdue(self._monotonic()):
            logger.warning(
                "addresses of networks cannot be used again: node %s has not confirmed what it was "
                "told since version %d of the state; look at its daemon, or drain and stop it",
                latest,
                version,
            )
        return version
