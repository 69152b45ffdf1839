"""A store that proves that nobody changes what is in it: objects out of the store are read-only.

It keeps the bytes of each object as committed, and compares them before each further command and
whenever a test asks.
"""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from api.times import timestamp
from manager.state.changes import KINDS, Applied, Batch, Change, StoredObject
from manager.state.store import Store


class SealedStore(Store):
    """A Store with seals. AssertionError names the object that was tampered with."""

    def __init__(self) -> None:
        super().__init__()
        self._seals: dict[tuple[str, str], bytes] = {}

    def apply(
        self,
        index: int,
        at: Timestamp,
        batches: Sequence[Batch],
        *,
        request_id: str = "",
        object_id: str = "",
    ) -> Applied:
        """As Store.apply, between two looks at the seals."""
        self.check_seals()
        applied = super().apply(index, at, batches, request_id=request_id, object_id=object_id)
        for event in applied.events:
            if event.new is None:
                del self._seals[_key(event.object)]
            else:
                self._seals[_key(event.new)] = _bytes(event.new)
        return applied

    def check_seals(self) -> None:
        """Fails if any object differs from what was committed."""
        for table in self._tables.values():
            for obj in table.values():
                seal = self._seals[_key(obj)]
                assert _bytes(obj) == seal, (
                    f"{KINDS[type(obj)]} {obj.id} was changed in place:\n"
                    f"committed: {type(obj).FromString(seal)}\nnow: {obj}"
                )

    def write(self, batches: Sequence[Batch], now: float) -> Applied:
        """Applies the batches as the next command, at wall time `now`."""
        return self.apply(self.version + 1, timestamp(now), batches)

    def must(self, *changes: Change, now: float) -> Applied:
        """Applies each change as a batch of its own; AssertionError if one is refused."""
        applied = self.write([Batch((change,)) for change in changes], now)
        assert not any(applied.results), applied.results
        return applied


def _key(obj: StoredObject) -> tuple[str, str]:
    return (KINDS[type(obj)], obj.id)


def _bytes(obj: StoredObject) -> bytes:
    return obj.SerializeToString(deterministic=True)
