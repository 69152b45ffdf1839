"""Takes volumes from nodes whose leases have lapsed. Pure; a Writer writes it."""

from collections.abc import Iterator, Sequence

from manager.state.changes import Batch
from manager.state.store import View
from manager.volumes.ends import ends
from manager.volumes.leases import Hold, Leases

AGAIN = 0.1
"""Seconds after which what was taken is looked for anew."""


class Lapses:
    """What has lapsed and is to be written. Fulfils manager.dispatcher.writer.Outbox."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._looked_at: float | None = None

    def due(self, now: float) -> float | None:
        """When the next lease lapses."""
        due = self._leases.due()
        if due is None or self._looked_at is None:
            return due
        return max(due, self._looked_at + AGAIN)

    def take(self, now: float) -> Sequence[Hold]:
        """The holds that have lapsed."""
        self._looked_at = now
        return self._leases.lapse(now)

    def restore(self, taken: Sequence[Hold]) -> None:
        """Nothing: what has lapsed is found until it is gone."""

    def batches(self, view: View, taken: Sequence[Hold]) -> Iterator[Batch]:
        """The volumes without these holds, as they are now."""
        return ends(view, taken)
