"""Moving, saving and restoring data that is on one node alone: what is to be done next, and what
comes of it. Pure.

All of it follows from the volume, so that a new leader goes on with it. Each copy of the data has a
name that no other copy ever gets, its generation; which one counts, and on which node, is one
change of the volume. Until that change the old copy is the only one, after it the new one: a copy
that does not count is mounted by nobody, whatever late order made it. docs/decisions/
0033-moving-local-volumes.md says more.
"""

from collections.abc import Iterator

from api.v1 import objects_pb2, volume_pb2
from manager.state.changes import Batch, batch, copy, delete, update
from manager.volumes.order import DELETE, FILL, SAVE, Order

Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume

_GONE = "its node was removed from the swarm"


def wanted(volume: Volume) -> Iterator[Order]:
    """What its transfer needs done now, on which node."""
    if not volume.HasField("transfer"):
        return
    transfer = volume.transfer
    if transfer.kind == Transfer.KIND_CLEAR or transfer.live or not volume.holders:
        yield _order(volume)


def write(message: volume_pb2.VolumeOrder, volume: Volume) -> None:
    """Adds what the node has to know to a message of such an order."""
    transfer = volume.transfer
    if message.verb == FILL:
        message.volume.generation = transfer.id
        message.devices = transfer.devices or transfer.kind == Transfer.KIND_MIGRATE
    elif message.verb == DELETE:
        message.volume.generation = transfer.generation
    message.live = transfer.live


def settled(volume: Volume, order: Order, error: str) -> Batch | None:
    """What the answer changes, empty where it is done; None: nothing, or not any more."""
    if not volume.HasField("transfer") or order != _order(volume):
        return None
    kind = volume.transfer.kind
    if kind == Transfer.KIND_CLEAR:
        return _with_error(volume, error) if error else _cleared(volume)
    if kind == Transfer.KIND_BACKUP:
        return _cleared(volume)
    if kind == Transfer.KIND_RESTORE:
        given_up = dropped(volume, error) if error else None
        return batch(update(given_up or _filled(volume)))
    return _with_error(volume, error) if error else batch(update(_filled(volume)))


def dropped(volume: Volume, why: str) -> Volume | None:
    """The volume whose transfer is given up before its end; None: there is none that could be."""
    if not volume.HasField("transfer"):
        return None
    transfer = volume.transfer
    if transfer.kind == Transfer.KIND_CLEAR:
        return None
    changed = copy(volume)
    if transfer.kind == Transfer.KIND_BACKUP:
        changed.ClearField("transfer")
        return changed
    _clear(changed, transfer.node_id, transfer.id)
    if transfer.kind == Transfer.KIND_RESTORE:
        changed.removing, changed.pending = True, why
    return changed


def forgotten(volume: Volume) -> Batch | None:
    """No copy that does not count is waited for: neither for one that is being made, nor for the
    deletion of one. It may stay where it is, and never counts. None: there is none.
    """
    kinds = (Transfer.KIND_MIGRATE, Transfer.KIND_CLEAR)
    if not volume.HasField("transfer") or volume.transfer.kind not in kinds:
        return None
    return _cleared(volume)


def without_node(volume: Volume) -> Batch | None:
    """The node that its transfer needs is gone, and what was there with it.

    One that was restored there goes too, in two steps: while it is restored nobody may remove it.
    """
    if volume.transfer.kind != Transfer.KIND_RESTORE:
        return _cleared(volume)
    given_up = dropped(volume, _GONE)
    return None if given_up is None else batch(update(given_up))


def _order(volume: Volume) -> Order:
    transfer = volume.transfer
    verb = {
        Transfer.KIND_MIGRATE: FILL,
        Transfer.KIND_BACKUP: SAVE,
        Transfer.KIND_RESTORE: FILL,
        Transfer.KIND_CLEAR: DELETE,
    }[transfer.kind]
    return Order(volume.id, verb, transfer.node_id, transfer=transfer.id)


def _filled(volume: Volume) -> Volume:
    """The one change after which the new copy counts."""
    changed = copy(volume)
    changed.home, changed.generation = volume.transfer.node_id, volume.transfer.id
    if volume.home:
        _clear(changed, volume.home, volume.generation)
    else:
        changed.ClearField("transfer")
    return changed


def _clear(volume: Volume, node_id: str, generation: str) -> None:
    volume.transfer.CopyFrom(
        Transfer(
            id=volume.transfer.id,
            kind=Transfer.KIND_CLEAR,
            node_id=node_id,
            generation=generation,
        )
    )


def _cleared(volume: Volume) -> Batch:
    """Without its transfer; a volume that never came to be goes with it."""
    if volume.removing and not volume.home:
        return batch(delete(volume))
    changed = copy(volume)
    changed.ClearField("transfer")
    return batch(update(changed))


def _with_error(volume: Volume, error: str) -> Batch | None:
    changed = copy(volume)
    changed.transfer.error = error
    return None if changed == volume else batch(update(changed))
