"""Places of containers in networks: of the host, which it keeps itself, and of the swarm, which
managers give. A thin shell; who is to be where is the affair of `containers`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from api.ids import IdSource
from api.v1 import containers_pb2, dispatcher_pb2, network_pb2, specs_pb2
from worker.attachments import Attachments
from worker.executor import TemporaryError
from worker.standalone.clothes import identity
from worker.standalone.host_networks import HostNetworks

Container = containers_pb2.Container
Place = containers_pb2.ContainerEndpoint
Keep = Callable[[Container], Awaitable[object]]
"""Writes down what is known of a container."""

PATIENCE = 20.0
"""Seconds in which managers have to tell of a place that they gave."""
STEP = 0.05
_SHORT = 12


class Places:
    """Of one host."""

    def __init__(self, host: HostNetworks, attachments: Attachments, ids: IdSource) -> None:
        self._host = host
        self._attachments = attachments
        self._ids = ids

    def hold(self, container: Container) -> None:
        """It runs, as it did before the daemon began."""
        self._attachments.hold(p.attachment_id for p in container.networks if p.attachment_id)

    async def take(self, container: Container, place: Place, keep: Keep) -> None:
        """A place of the container in one network, filled in. A manager is asked once it is kept
        for what: else it might give what nobody knows of any more.
        """
        local = await self._host.find(place.name)
        if local is not None:
            place.network_id, place.driver = local.id, local.spec.driver
            await self._host.give(local, _endpoint(container, place), place.asked)
            return
        place.attachment_id = self._ids()
        await keep(container)
        asked = specs_pb2.NetworkAttachmentSpec(
            target=place.name, aliases=place.aliases, addresses=place.asked
        )
        request = dispatcher_pb2.AttachRequest(
            attachment_id=place.attachment_id, network=asked, container=identity(container)
        )
        answer = await self._attachments.attach(request)
        place.network_id, place.name, place.driver = answer.network_id, answer.name, "overlay"

    async def give_back(self, container: Container, place: Place) -> None:
        """The container has left the network; nothing happens if it was not in it."""
        if place.attachment_id:
            self._attachments.drop(place.attachment_id)
        elif place.network_id:
            await self._host.take_back(container.id, place.network_id)


async def until_told(step: Callable[[], Awaitable[object]]) -> None:
    """Tries a step until managers have told this node what it needs to know for that."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            await step()
        except TemporaryError:
            if asyncio.get_running_loop().time() >= deadline:
                raise
        else:
            return
        await asyncio.sleep(STEP)


def _endpoint(container: Container, place: Place) -> network_pb2.NetworkEndpoint:
    return network_pb2.NetworkEndpoint(
        task_id=container.id,
        name=container.spec.annotations.name,
        aliases=[container.id[:_SHORT], *place.aliases],
        hostname=container.spec.container.hostname,
    )
