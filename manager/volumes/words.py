"""What nodes say of their volumes, on its way into the store. Pure.

That nothing of a node touches a volume any more ends its hold, of that very epoch; a late word
about an earlier one changes nothing. Whether it could be mounted, its tasks tell.
"""

from collections.abc import Iterable, Iterator, Sequence

from api.errors import invalid
from api.v1 import volume_pb2
from manager.state.changes import Batch
from manager.state.store import View
from manager.volumes.ends import ends
from manager.volumes.leases import Hold

MAX_WORDS = 10_000
"""Volumes in one call."""

Word = volume_pb2.NodeVolumeStatus


def check(updates: Iterable[Word]) -> None:
    """Refuses the whole report if there is too much in it, or what nobody could mean."""
    for index, each in enumerate(updates):
        if index >= MAX_WORDS:
            raise invalid("updates", f"more than {MAX_WORDS} volumes in one call")
        if each.state not in Word.State.values():
            raise invalid(f"updates[{index}].state", f"{each.state} is no state of a volume")


def let_go(node_id: str, updates: Iterable[Word]) -> list[Hold]:
    """The holds that the node gives back by this."""
    return [
        Hold(each.volume_id, node_id, each.epoch)
        for each in updates
        if each.state == Word.STATE_UNMOUNTED
    ]


class Words:
    """Holds that nodes have given back. Fulfils manager.dispatcher.writer.Outbox."""

    def __init__(self) -> None:
        self._gone: dict[Hold, None] = {}

    def add(self, holds: Iterable[Hold]) -> None:
        """Nodes let go of these."""
        self._gone.update(dict.fromkeys(holds))

    def due(self, now: float) -> float | None:
        """At once, if there is anything to write."""
        return now if self._gone else None

    def take(self, now: float) -> Sequence[Hold]:
        """Everything that there is."""
        taken, self._gone = list(self._gone), {}
        return taken

    def restore(self, taken: Sequence[Hold]) -> None:
        """Nothing: a node whose word failed says it again."""

    def batches(self, view: View, taken: Sequence[Hold]) -> Iterator[Batch]:
        """The volumes without these holds."""
        return ends(view, taken)
