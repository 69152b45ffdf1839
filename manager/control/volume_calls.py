"""The calls of the Control service about volumes: as thin as service.py, a part of it."""

from collections.abc import AsyncIterator

from api.serving import Context
from api.v1 import control_pb2, objects_pb2
from manager.control import listing
from manager.control.pacing import paced
from manager.control.resolve import resolve
from manager.control.volume_moves import VolumeMoves
from manager.control.volumes import Volumes
from manager.state.store import Store


class VolumeCalls:
    """Serves operators."""

    def __init__(self, store: Store, volumes: Volumes, moves: VolumeMoves) -> None:
        self._store = store
        self._volumes = volumes
        self._moves = moves

    async def CreateVolume(
        self, request: control_pb2.CreateVolumeRequest, context: Context
    ) -> objects_pb2.Volume:
        """Creates a volume."""
        return await self._volumes.create(request)

    async def GetVolume(
        self, request: control_pb2.GetRequest, context: Context
    ) -> objects_pb2.Volume:
        """One volume."""
        return resolve(self._store, objects_pb2.Volume, request.key)

    async def ListVolumes(
        self, request: control_pb2.ListVolumesRequest, context: Context
    ) -> AsyncIterator[control_pb2.ListVolumesResponse]:
        """Volumes of the swarm."""
        found = listing.volumes(self._store, request)
        async for piece in paced(found, lambda some: control_pb2.ListVolumesResponse(volumes=some)):
            yield piece

    async def UpdateVolume(
        self, request: control_pb2.UpdateVolumeRequest, context: Context
    ) -> objects_pb2.Volume:
        """Replaces what may change of a volume."""
        return await self._volumes.update(request)

    async def RemoveVolume(
        self, request: control_pb2.RemoveRequest, context: Context
    ) -> control_pb2.RemoveResponse:
        """Removes a volume that nothing uses."""
        return await self._volumes.remove(request)

    async def ForceReleaseVolume(
        self, request: control_pb2.ForceReleaseVolumeRequest, context: Context
    ) -> objects_pb2.Volume:
        """Takes a volume from nodes that have not let it go."""
        return await self._volumes.force_release(request)

    async def MigrateVolume(
        self, request: control_pb2.MigrateVolumeRequest, context: Context
    ) -> objects_pb2.Volume:
        """Begins to move a volume's data, or gives that up."""
        return await self._moves.migrate(request)
