"""What a manager's ports believe, kept in step with the state: the roots, and who is still in.

Every manager does this for itself, whoever leads.
"""

import asyncio

from api.errors import SwarmError
from api.identity import Identity
from api.v1 import objects_pb2
from manager.ca.authorize import no_member
from manager.ca.members import Members
from manager.ca.open_calls import OpenCalls
from manager.ca.roots import trusted
from manager.state.changes import Event
from manager.state.store import Store
from manager.state.watch import WatchHub


class Standing:
    """`roots` (PEM) are those that callers on the control port need a certificate of, `calls` those
    under way there. `roots` may be read by any thread.
    """

    def __init__(self, store: Store, hub: WatchHub, roots: bytes) -> None:
        """`roots`: until the state has come."""
        self.roots = roots
        self.calls = OpenCalls[Identity]()
        self._store = store
        self._hub = hub
        self._members = Members(store)

    async def run(self) -> None:
        """Follows the state until cancelled."""
        woken = asyncio.Event()
        subscription = self._hub.subscribe(woken.set, match=_concerns)
        try:
            while True:
                self._follow()
                await woken.wait()
                woken.clear()
                subscription.take()
        finally:
            self._hub.unsubscribe(subscription)

    def _follow(self) -> None:
        for cluster in self._store.all(objects_pb2.Cluster):
            self.roots = trusted(cluster.root_ca)
        self.calls.end_where(self._refusal)

    def _refusal(self, who: Identity) -> SwarmError | None:
        return None if self._members.is_member(who) else no_member(who)


def _concerns(event: Event) -> bool:
    if isinstance(event.object, objects_pb2.Cluster):
        return True
    return event.new is None and isinstance(event.object, objects_pb2.Node | objects_pb2.Operator)
