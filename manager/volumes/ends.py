"""The end of holds, however it came: told, or because their leases have lapsed. Pure."""

from collections.abc import Iterable, Iterator

from api.v1 import objects_pb2
from manager.state.changes import Batch, batch, update
from manager.state.store import View
from manager.state.volumes import ended
from manager.volumes.leases import Hold


def ends(view: View, holds: Iterable[Hold]) -> Iterator[Batch]:
    """The volumes without these holds, as they are now; nothing where one is known to be over."""
    for hold in holds:
        volume = view.get(objects_pb2.Volume, hold.volume_id)
        changed = None if volume is None else ended(volume, hold.node_id, hold.epoch)
        if changed is not None:
            yield batch(update(changed))
