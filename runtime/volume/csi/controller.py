"""The controller of a CSI driver: it makes volumes at the storage, and opens them to nodes.

What the driver has no capability for is refused before it is asked, or, where there is nothing to
be done then (a driver whose volumes are open to every node), not done.
"""

import logging
from collections.abc import Mapping, Sequence

from api.errors import Code, SwarmError
from runtime.volume.controller import (
    ControllerCapabilities,
    Listed,
    Made,
    NewVolume,
    Segments,
)
from runtime.volume.csi import answers, capability, faults, requests
from runtime.volume.csi.endpoint import Endpoint
from runtime.volume.csi.identity import identify
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.csi.v1.csi_pb2_grpc import ControllerStub
from runtime.volume.driver import Volume
from runtime.volume.plugin.messages import readable

log = logging.getLogger(__name__)

_Rpc = csi_pb2.ControllerServiceCapability.RPC
_PAGE = 1000


class CsiController:
    """See `runtime.volume.controller.VolumeController`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        """The driver's."""
        return self._endpoint.name

    async def capabilities(self) -> ControllerCapabilities:
        """What it can do."""
        await identify(self._endpoint)
        can = await self._can("say what it can do")
        return ControllerCapabilities(
            makes=_Rpc.CREATE_DELETE_VOLUME in can,
            opens=_Rpc.PUBLISH_UNPUBLISH_VOLUME in can,
            lists=_Rpc.LIST_VOLUMES in can,
            tells_capacity=_Rpc.GET_CAPACITY in can,
        )

    async def create(self, new: NewVolume) -> Made:
        """Makes it. What was made otherwise than asked is deleted again."""
        doing = f"create volume {new.name}"
        has_topology = (await identify(self._endpoint)).has_topology
        can = await self._must(_Rpc.CREATE_DELETE_VOLUME, doing)
        if (new.required or new.preferred) and not has_topology:
            raise faults.cannot(self.name, doing, "its volumes have no topology")
        request = requests.create(new, _Rpc.SINGLE_NODE_MULTI_WRITER in can)
        answer = await self._endpoint.call(
            doing,
            request,
            lambda channel: ControllerStub(channel).CreateVolume,
            self._endpoint.timeouts.controller,
        )
        made = self._endpoint.read(answer, lambda told: answers.made(told.volume))
        try:
            return self._endpoint.read(
                answer, lambda _: answers.fits(made, new.required_bytes, new.limit_bytes)
            )
        except SwarmError:
            await self._take_back(made.handle, new.secrets)
            raise

    async def delete(self, handle: str, secrets: Mapping[str, bytes]) -> None:
        """Deletes it; one that is not there, or was never made, is gone already."""
        if not handle:
            return
        doing = f"delete volume {handle}"
        await self._must(_Rpc.CREATE_DELETE_VOLUME, doing)
        request = csi_pb2.DeleteVolumeRequest(volume_id=handle, secrets=capability.texts(secrets))
        try:
            await self._endpoint.call(
                doing,
                request,
                lambda channel: ControllerStub(channel).DeleteVolume,
                self._endpoint.timeouts.controller,
            )
        except SwarmError as error:
            if error.code is not Code.NOT_FOUND:
                raise

    async def publish(self, volume: Volume, host_id: str) -> Mapping[str, str]:
        """Opens it to a node, if the driver wants that."""
        doing = f"open volume {volume.name} to node {host_id}"
        can = await self._can(doing)
        if _Rpc.PUBLISH_UNPUBLISH_VOLUME not in can:
            return {}
        request = requests.publish(
            volume,
            host_id,
            shares_node=_Rpc.SINGLE_NODE_MULTI_WRITER in can,
            read_only=volume.read_only and _Rpc.PUBLISH_READONLY in can,
        )
        answer = await self._endpoint.call(
            doing,
            request,
            lambda channel: ControllerStub(channel).ControllerPublishVolume,
            self._endpoint.timeouts.controller,
        )
        return self._endpoint.read(
            answer, lambda told: answers.table("publish_context", told.publish_context)
        )

    async def unpublish(self, volume: Volume, host_id: str) -> None:
        """Closes it to a node, if the driver had opened it. NOT_FOUND is no success: the driver
        says then that it does not know whether that node has it.
        """
        doing = f"close volume {volume.name} to node {host_id}"
        if _Rpc.PUBLISH_UNPUBLISH_VOLUME in await self._can(doing):
            await self._unpublish(volume, host_id, doing)

    async def fence(self, volume: Volume, host_id: str) -> None:
        """Closes it to a node that did not say that it lets go: the storage detaches it."""
        if not host_id:
            raise faults.cannot(self.name, f"fence volume {volume.name}", "no node is named")
        doing = f"fence volume {volume.name} against node {host_id}"
        await self._must(_Rpc.PUBLISH_UNPUBLISH_VOLUME, doing)
        await self._unpublish(volume, host_id, doing)

    async def validate(self, volume: Volume) -> str:
        """Why it cannot be used so; what the driver did not confirm, it did not understand."""
        doing = f"check volume {volume.name}"
        can = await self._can(doing)
        request = requests.validate(volume, _Rpc.SINGLE_NODE_MULTI_WRITER in can)
        answer = await self._endpoint.call(
            doing,
            request,
            lambda channel: ControllerStub(channel).ValidateVolumeCapabilities,
            self._endpoint.timeouts.controller,
        )
        if list(answer.confirmed.volume_capabilities) == list(request.volume_capabilities):
            return ""
        return readable(answer.message) or "the driver does not confirm it"

    async def capacity(self, new: NewVolume, segments: Segments) -> int:
        """Bytes that are left for such volumes."""
        doing = "tell its capacity"
        can = await self._must(_Rpc.GET_CAPACITY, doing)
        request = requests.capacity(new, segments, _Rpc.SINGLE_NODE_MULTI_WRITER in can)
        answer = await self._endpoint.call(
            doing,
            request,
            lambda channel: ControllerStub(channel).GetCapacity,
            self._endpoint.timeouts.question,
        )
        return max(0, answer.available_capacity)

    async def list(self) -> Sequence[Listed]:
        """All volumes, page by page; at most `answers.MAX_LISTED`."""
        doing = "list its volumes"
        await self._must(_Rpc.LIST_VOLUMES, doing)
        found: list[Listed] = []
        token = ""
        while True:
            request = csi_pb2.ListVolumesRequest(max_entries=_PAGE, starting_token=token)
            page = await self._page(request, doing)
            found += self._endpoint.read(
                page, lambda told: [answers.listed(entry) for entry in told.entries]
            )
            if len(found) > answers.MAX_LISTED or (page.next_token and not page.entries):
                why = f"its list of more than {len(found)} volumes does not end"
                raise faults.lied(self.name, "ListVolumes", why)
            token = page.next_token
            if not token:
                return found

    async def _page(
        self, request: csi_pb2.ListVolumesRequest, doing: str
    ) -> csi_pb2.ListVolumesResponse:
        return await self._endpoint.call(
            doing,
            request,
            lambda channel: ControllerStub(channel).ListVolumes,
            self._endpoint.timeouts.question,
        )

    async def _unpublish(self, volume: Volume, host_id: str, doing: str) -> None:
        request = csi_pb2.ControllerUnpublishVolumeRequest(
            volume_id=volume.handle, node_id=host_id, secrets=capability.texts(volume.secrets)
        )
        await self._endpoint.call(
            doing,
            request,
            lambda channel: ControllerStub(channel).ControllerUnpublishVolume,
            self._endpoint.timeouts.controller,
        )

    async def _can(self, doing: str) -> frozenset[int]:
        answer = await self._endpoint.call(
            doing,
            csi_pb2.ControllerGetCapabilitiesRequest(),
            lambda channel: ControllerStub(channel).ControllerGetCapabilities,
            self._endpoint.timeouts.question,
        )
        return frozenset(capability.rpc.type for capability in answer.capabilities)

    async def _must(
        self, needed: csi_pb2.ControllerServiceCapability.RPC.Type.ValueType, doing: str
    ) -> frozenset[int]:
        can = await self._can(doing)
        if needed not in can:
            why = f"it has no capability {_Rpc.Type.Name(needed)}"
            raise faults.cannot(self.name, doing, why)
        return can

    async def _take_back(self, handle: str, secrets: Mapping[str, bytes]) -> None:
        try:
            await self.delete(handle, secrets)
        except SwarmError as error:
            log.warning("a volume that was made wrongly stays: %s", error)
