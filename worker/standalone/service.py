"""The Containers service of api/v1/containers.proto, on the daemon's socket: from a call to what
serves it.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing

from api.errors import Code, SwarmError, invalid
from api.serving import Context
from api.times import seconds_of
from api.v1 import containers_pb2, containers_pb2_grpc, logs_pb2, objects_pb2, volume_pb2
from runtime.volume.host import VolumeHost
from worker.standalone.containers import Containers
from worker.standalone.local_volumes import every, restore, save

Container = containers_pb2.Container


class ContainersService(containers_pb2_grpc.ContainersServicer):
    """Serves the operator on this host."""

    def __init__(self, containers: Containers, volumes: VolumeHost) -> None:
        self._containers = containers
        self._volumes = volumes

    async def CreateContainer(
        self, request: containers_pb2.CreateContainerRequest, context: Context
    ) -> Container:
        """Makes a container."""
        return await self._containers.create(request.spec)

    async def StartContainer(
        self, request: containers_pb2.ContainerRequest, context: Context
    ) -> Container:
        """Lets it run."""
        return await self._containers.start(request.key)

    async def StopContainer(
        self, request: containers_pb2.StopContainerRequest, context: Context
    ) -> Container:
        """Ends it."""
        grace = seconds_of(request.grace) if request.HasField("grace") else None
        return await self._containers.stop(request.key, grace)

    async def RemoveContainer(
        self, request: containers_pb2.RemoveContainerRequest, context: Context
    ) -> containers_pb2.RemoveContainerResponse:
        """Deletes it."""
        gone = await self._containers.remove(request.key, force=request.force)
        return containers_pb2.RemoveContainerResponse(id=gone)

    async def ListContainers(
        self, request: containers_pb2.ListContainersRequest, context: Context
    ) -> containers_pb2.ListContainersResponse:
        """Those of this host that are no tasks."""
        found = await self._containers.every(stopped=request.all)
        return containers_pb2.ListContainersResponse(containers=found)

    async def InspectContainer(
        self, request: containers_pb2.ContainerRequest, context: Context
    ) -> Container:
        """One of them."""
        return await self._containers.inspect(request.key)

    async def ContainerLogs(
        self, request: containers_pb2.ContainerLogsRequest, context: Context
    ) -> AsyncIterator[logs_pb2.LogMessage]:
        """What it wrote."""
        async with aclosing(self._containers.logs(request.key, request.options)) as lines:
            async for line in lines:
                yield line

    async def ConnectNetwork(
        self, request: containers_pb2.ConnectNetworkRequest, context: Context
    ) -> Container:
        """Puts it into a network."""
        return await self._containers.connect(request.key, request.network)

    async def DisconnectNetwork(
        self, request: containers_pb2.DisconnectNetworkRequest, context: Context
    ) -> Container:
        """Takes it out of one."""
        return await self._containers.disconnect(request.key, request.network, force=request.force)

    async def CreateLocalNetwork(
        self, request: containers_pb2.CreateLocalNetworkRequest, context: Context
    ) -> objects_pb2.Network:
        """Makes a network of this host."""
        return await self._containers.host.create(request.spec)

    async def RemoveLocalNetwork(
        self, request: containers_pb2.RemoveLocalNetworkRequest, context: Context
    ) -> containers_pb2.RemoveLocalNetworkResponse:
        """Removes one."""
        gone = await self._containers.host.remove(request.key)
        return containers_pb2.RemoveLocalNetworkResponse(id=gone)

    async def ListLocalNetworks(
        self, request: containers_pb2.ListLocalNetworksRequest, context: Context
    ) -> containers_pb2.ListLocalNetworksResponse:
        """All of them, by name."""
        networks = self._containers.host.local.networks.values()
        found = sorted(networks, key=lambda each: each.spec.annotations.name)
        return containers_pb2.ListLocalNetworksResponse(networks=found)

    async def ListLocalVolumes(
        self, request: containers_pb2.ListLocalVolumesRequest, context: Context
    ) -> containers_pb2.ListLocalVolumesResponse:
        """All of them, by name."""
        return containers_pb2.ListLocalVolumesResponse(volumes=await every(self._volumes))

    async def RemoveLocalVolume(
        self, request: containers_pb2.RemoveLocalVolumeRequest, context: Context
    ) -> containers_pb2.RemoveLocalVolumeResponse:
        """Removes one."""
        await self._volumes.drop(request.name)
        return containers_pb2.RemoveLocalVolumeResponse()

    async def BackupLocalVolume(
        self, request: containers_pb2.BackupLocalVolumeRequest, context: Context
    ) -> AsyncIterator[volume_pb2.VolumePiece]:
        """The archive of one."""
        async with aclosing(save(self._volumes, request.name, live=request.live)) as pieces:
            async for piece in pieces:
                yield volume_pb2.VolumePiece(data=piece)
        yield volume_pb2.VolumePiece(end=volume_pb2.VolumeEnd())

    async def RestoreLocalVolume(
        self,
        request_iterator: AsyncIterator[containers_pb2.RestoreLocalVolumeRequest],
        context: Context,
    ) -> containers_pb2.LocalVolume:
        """Makes one from an archive."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("kind") != "head":
            raise invalid("head", "the first message must say which volume")
        pieces = _pieces(request_iterator)
        return await restore(self._volumes, first.head.name, pieces, devices=first.head.devices)


async def _pieces(
    messages: AsyncIterator[containers_pb2.RestoreLocalVolumeRequest],
) -> AsyncIterator[bytes]:
    async for message in messages:
        if message.piece.WhichOneof("kind") == "end":
            return
        yield message.piece.data
    raise SwarmError(Code.UNAVAILABLE, "the archive ended before it was whole")
