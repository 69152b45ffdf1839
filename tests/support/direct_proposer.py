"""A Proposer without a log: applies at once to a store, and tells watchers if it is given a hub."""

from collections.abc import Callable, Sequence

from api.times import timestamp
from manager.state.changes import Applied, Batch
from manager.state.store import Store
from manager.state.watch import WatchHub


class DirectProposer:
    """Fulfils manager.state.proposer.Proposer; `clock`: wall seconds."""

    def __init__(
        self, store: Store, clock: Callable[[], float], hub: WatchHub | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._hub = hub

    async def propose(
        self, batches: Sequence[Batch], *, request_id: str = "", object_id: str = ""
    ) -> Applied:
        """Applies one command as the next entry."""
        index = self._store.version + 1
        applied = self._store.apply(
            index,
            timestamp(self._clock()),
            batches,
            request_id=request_id,
            object_id=object_id,
        )
        if self._hub is not None:
            self._hub.publish(index, applied.events)
        return applied
