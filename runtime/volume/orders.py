"""What a driver does for the swarm at its storage, whatever host is meant: one order, one answer.

Nothing of an order is kept here; it may come again, also to another host. Errors of the driver are
the answer, in its words; secrets are in none.
"""

import asyncio
from collections.abc import Iterable, Mapping

from api.errors import Code, SwarmError
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2, volume_pb2
from runtime.volume.controller import Controlled, Made, NewVolume
from runtime.volume.driver import Volume, VolumeDriver

Order = volume_pb2.VolumeOrder
Report = volume_pb2.VolumeOrderReport

_REFUSALS = {
    Code.INVALID,
    Code.NOT_FOUND,
    Code.EXISTS,
    Code.DENIED,
    Code.REFUSED,
    Code.EXHAUSTED,
    Code.UNSUPPORTED,
}
"""Errors by which a driver says no; after any other it may be at work still."""


async def carry_out(driver: VolumeDriver, volume: Volume, order: Order) -> Report:
    """Does it within its limit. `volume`: that of the order, as the driver knows it."""
    limit = seconds_of(order.limit)
    report = Report(order_id=order.id)
    try:
        async with asyncio.timeout(limit):
            await _do(driver, volume, order, report)
    except TimeoutError:
        report.error = f"driver {driver.name} was not done after {limit:g} s"
    except SwarmError as error:
        report.error, report.undone = str(error), error.code in _REFUSALS
    return report


async def _do(driver: VolumeDriver, volume: Volume, order: Order, report: Report) -> None:
    if isinstance(driver, Controlled):
        await _by_controller(driver, volume, order, report)
    elif order.verb == Order.VERB_CREATE:
        await driver.create(volume)
        report.made.SetInParent()
    elif order.verb == Order.VERB_DELETE:
        await driver.remove(volume)
    elif order.verb == Order.VERB_FENCE:
        await driver.fence(volume, order.host_id)
    else:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"driver {driver.name} opens no volumes to hosts, and closes none",
            why="every host that has it reaches them",
        )


async def _by_controller(driver: Controlled, volume: Volume, order: Order, report: Report) -> None:
    controller = driver.controller
    match order.verb:
        case Order.VERB_CREATE:
            _tell(await controller.create(_new(volume, order)), report.made)
        case Order.VERB_DELETE:
            await controller.delete(volume.handle, volume.secrets)
        case Order.VERB_OPEN:
            report.publish_context.update(await controller.publish(volume, order.host_id))
        case Order.VERB_CLOSE:
            await controller.unpublish(volume, order.host_id)
        case Order.VERB_FENCE:
            await controller.fence(volume, order.host_id)


def _new(volume: Volume, order: Order) -> NewVolume:
    """Its name at the storage is no other volume's, also where several swarms share the storage:
    who asks for a name that is there gets what is there.
    """
    return NewVolume(
        name=f"{order.volume.name}-{order.volume.id}",
        options=volume.options,
        access=volume.access,
        block=volume.block,
        required_bytes=order.required_bytes,
        limit_bytes=order.limit_bytes,
        required=_places(order.topology_required),
        preferred=_places(order.topology_preferred),
        secrets=volume.secrets,
    )


def _places(given: Iterable[specs_pb2.VolumeTopology]) -> tuple[Mapping[str, str], ...]:
    return tuple(dict(place.segments) for place in given)


def _tell(made: Made, told: objects_pb2.VolumeMade) -> None:
    told.handle = made.handle
    told.context.update(made.context)
    told.capacity_bytes = made.capacity_bytes
    for segments in made.topology:
        told.topology.add().segments.update(segments)
