"""What drivers have yet to do about a volume at their storage, and what comes of it. Pure.

What is to be done follows from the volume alone, so that a new leader knows it; who does it and
when is the affair of order_book.py. docs/decisions/0031-leases-of-volumes.md says why.
"""

from collections.abc import Iterator

from api.times import duration
from api.v1 import objects_pb2, specs_pb2, volume_pb2
from api.volumes import driver_of
from manager.state.changes import Batch, batch, copy, delete, update
from manager.state.volumes import holder_of, turn, without
from manager.volumes import transfers
from manager.volumes.drivers import Drivers
from manager.volumes.order import (
    CLOSE,
    CREATE,
    DELETE,
    FENCE,
    FILL,
    OPEN,
    SAVE,
    Order,
    Outcome,
    Verb,
)

Holder = objects_pb2.VolumeHolder
Report = volume_pb2.VolumeOrderReport
Volume = objects_pb2.Volume

LIMIT = 60.0
"""Seconds that a driver has for one order."""
LONGEST_ERROR = 500
"""Characters of an error that are kept."""
LARGEST_REPORT = 64 * 1024
"""Bytes of what a driver may want to be kept of one order (CSI allows it 4 KiB for a map)."""


def wanted(volume: Volume, drivers: Drivers) -> Iterator[Order]:
    """What is to be done, what ends something first: of these the first that can be done."""
    for each in volume.holders:
        if each.fenceable and _is_out(each) and drivers.is_lost(each.node_id):
            yield Order(volume.id, FENCE, each.node_id, each.epoch)
    for each in volume.holders:
        if each.state == Holder.STATE_CLOSING:
            yield Order(volume.id, CLOSE, each.node_id, each.epoch)
    yield from transfers.wanted(volume)
    if volume.removing:
        if not volume.holders and not volume.HasField("transfer"):
            # Its driver may be making it just now, and alone knows what it is then called.
            yield Order(volume.id, CREATE if _may_come(volume, drivers) else DELETE)
        return
    if _is_to_be_made(volume, drivers):
        yield Order(volume.id, CREATE)
        return
    for each in volume.holders:
        if each.state == Holder.STATE_OPENING:
            yield Order(volume.id, OPEN, each.node_id, each.epoch)


def written(volume: Volume, order: Order, known: volume_pb2.NodeVolume) -> volume_pb2.VolumeOrder:
    """The order as its driver gets it, but for an id; `known`: the volume as drivers know it."""
    message = volume_pb2.VolumeOrder(verb=order.verb, volume=known, limit=duration(LIMIT))
    spec = volume.spec
    if order.verb == CREATE:
        message.required_bytes = spec.required_bytes
        message.limit_bytes = spec.limit_bytes
        message.topology_required.extend(spec.topology_required)
        message.topology_preferred.extend(spec.topology_preferred)
    held = holder_of(volume, order.node_id)
    if held is not None:
        message.host_id = held.host_id
        message.volume.publish_context.update(held.publish_context)
        message.volume.read_only = held.read_only
    if order.transfer:
        transfers.write(message, volume)
    return message


def bounded(report: Report) -> Report:
    """The report, or if it is too large, one that says so."""
    size = report.ByteSize()
    if size <= LARGEST_REPORT or report.error:
        return report
    error = f"its answer of {size} bytes is larger than {LARGEST_REPORT}"
    return Report(order_id=report.order_id, error=error)


def outcome(report: Report) -> Outcome:
    """What the report says of its order."""
    if not report.error:
        return Outcome.DONE
    return Outcome.UNDONE if report.undone else Outcome.UNKNOWN


def settled(
    volume: Volume, order: Order, report: Report, *, alone: bool, fences: bool
) -> Batch | None:
    """What the report changes; None: nothing, or not any more.

    `alone`: no other order like this can be under way. `fences`: its driver can shut nodes out.
    """
    if order.transfer:
        return transfers.settled(volume, order, report.error[:LONGEST_ERROR])
    if order not in possible(volume):
        return None
    if order.verb == CREATE and volume.removing and outcome(report) is Outcome.UNDONE:
        return batch(delete(volume))
    if report.error:
        return _failed(volume, order, report.error[:LONGEST_ERROR])
    if order.verb == DELETE:
        return batch(delete(volume))
    if order.verb == CLOSE:
        gone = without(volume, order.node_id, order.epoch)
        return None if gone is None else batch(update(gone))
    changed = copy(volume)
    if order.verb == CREATE:
        changed.made.CopyFrom(report.made)
        changed.pending = ""
    elif order.verb == OPEN:
        if not alone and order.node_id not in changed.unfenceable:
            changed.unfenceable.append(order.node_id)
        _let_in(changed, order, report, fences)
    else:
        turn(changed, order.node_id, Holder.STATE_FENCED)
    return batch(update(changed))


def _let_in(volume: Volume, order: Order, report: Report, fences: bool) -> None:
    for each in volume.holders:
        if each.node_id == order.node_id:
            each.publish_context.clear()
            each.publish_context.update(report.publish_context)
            each.fenceable = fences and order.node_id not in volume.unfenceable
            each.state = Holder.STATE_HELD
            each.order_error = ""


def _failed(volume: Volume, order: Order, error: str) -> Batch | None:
    changed = copy(volume)
    if order.node_id:
        for each in changed.holders:
            if each.node_id == order.node_id:
                each.order_error = error
    else:
        changed.pending = error
    return None if changed == volume else batch(update(changed))


def possible(volume: Volume) -> Iterator[Order]:
    """Every order that may have been given about the volume as it is."""
    for each in volume.holders:
        if _is_out(each):
            yield Order(volume.id, FENCE, each.node_id, each.epoch)
        elif each.state == Holder.STATE_CLOSING:
            yield Order(volume.id, CLOSE, each.node_id, each.epoch)
        elif each.state == Holder.STATE_OPENING:
            yield Order(volume.id, OPEN, each.node_id, each.epoch)
    if volume.removing and not volume.holders:
        yield Order(volume.id, DELETE)
    if not volume.HasField("made"):
        yield Order(volume.id, CREATE)


def _is_to_be_made(volume: Volume, drivers: Drivers) -> bool:
    return not volume.HasField("made") and drivers.any_creates(driver_of(volume.spec))


def _may_come(volume: Volume, drivers: Drivers) -> bool:
    """Whether its driver may be making it, though nobody wants it any more."""
    return not volume.epoch and _is_to_be_made(volume, drivers)


def _is_out(holder: Holder) -> bool:
    """Whether the node may be writing now."""
    return holder.state in (Holder.STATE_HELD, Holder.STATE_RELEASING)


def has_to_be_deleted(volume: Volume, drivers: Drivers) -> bool:
    """Whether something of it may be at a storage that a driver has to clear."""
    if volume.HasField("made"):
        return True
    if volume.home and not drivers.is_member(volume.home):
        return False  # and what was there is gone with its node
    if _may_come(volume, drivers):
        return True
    return bool(volume.epoch or volume.home) and drivers.any_deletes(driver_of(volume.spec))


def is_for(
    spec: specs_pb2.VolumeSpec, verb: Verb.ValueType, driver: objects_pb2.VolumeDriver
) -> bool:
    """Whether a node with this driver can carry out such an order."""
    able = {
        CREATE: driver.creates,
        DELETE: driver.creates or driver.deletes,
        OPEN: driver.opens,
        CLOSE: driver.opens,
        FENCE: driver.fences,
        SAVE: driver.local,
        FILL: driver.local,
    }
    return driver.name == driver_of(spec) and able[verb]
