"""The node's part of a CSI driver, as a driver of ours.

A volume is staged at a folder of its own below the daemon's state and published at its place; each
step may come again. What the driver says is done is looked at: a volume that is not mounted would
let a database write into the folder below. The driver has to see these folders under the same
paths, and its mounts have to reach this host.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from api.errors import Code, SwarmError
from hostkit.mount import is_mounted
from runtime.volume.controller import ControllerCapabilities
from runtime.volume.csi import answers, faults, requests
from runtime.volume.csi.controller import CsiController
from runtime.volume.csi.endpoint import Endpoint
from runtime.volume.csi.identity import identify
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.csi.v1.csi_pb2_grpc import NodeStub
from runtime.volume.driver import Capabilities, Known, Mounted, Place, Scope, Volume
from runtime.volume.look import look

log = logging.getLogger(__name__)

_Rpc = csi_pb2.NodeServiceCapability.RPC
_STAGING = "staging"
_UNDO = 10.0
"""Seconds for taking back a mount that failed."""


class CsiDriver:
    """See `runtime.volume.driver.VolumeDriver`. `folder`: where this driver's volumes are staged;
    it must survive a restart of the daemon.
    """

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self._endpoint = endpoint
        self._folder = folder
        self.controller = CsiController(endpoint)

    @property
    def name(self) -> str:
        """What the driver calls itself, and its socket is called."""
        return self._endpoint.name

    async def capabilities(self) -> Capabilities:
        """Where this node is for the driver, and whether the driver can shut others out."""
        identity = await identify(self._endpoint)
        told = await self._endpoint.call(
            "say where this node is",
            csi_pb2.NodeGetInfoRequest(),
            lambda channel: NodeStub(channel).NodeGetInfo,
            self._endpoint.timeouts.question,
        )
        node_id = self._endpoint.read(told, lambda info: answers.text("node_id", info.node_id))
        (segments,) = self._endpoint.read(
            told, lambda info: answers.places([info.accessible_topology])
        )
        control = await self._control() if identity.controls else ControllerCapabilities()
        return Capabilities(
            Scope.GLOBAL,
            creates=control.makes,
            deletes=control.makes,
            opens=control.opens,
            fences=control.opens,
            segments=segments,
            host_id=node_id,
        )

    async def create(self, volume: Volume) -> None:
        """Nothing is to be done: what has a handle, a controller has made."""
        if not volume.handle:
            why = "only a volume of the swarm can be one of CSI"
            error = faults.cannot(self.name, f"make volume {volume.name} on its node", why)
            error.remedy = f"swarmctl volume create --driver {self.name} {volume.name}"
            raise error

    async def remove(self, volume: Volume) -> None:
        """What this host has of it; the data is deleted by the controller."""
        staging = self._staging(volume.name)
        if is_mounted(staging):
            raise SwarmError(Code.REFUSED, f"volume {volume.name} is still in use on this host")
        await asyncio.to_thread(_remove, staging)

    async def mount(self, volume: Volume, place: Place) -> Mounted:
        """Stages the volume if the driver does that, and publishes it at the place's target."""
        await self.create(volume)
        doing = f"mount volume {volume.name}"
        try:
            can = await self._can(doing)
            await asyncio.to_thread(_prepare, self._staging(volume.name), place.target)
            staging = await self._stage(volume, can, doing)
            await self._publish(volume, staging, place.target, can, doing)
            return Mounted(await self._checked(volume, place.target))
        except SwarmError:
            await self._take_back(volume, place)
            raise

    async def unmount(self, volume: Volume, place: Place) -> None:
        """Back through the same steps."""
        await self._unmount(volume, place, self._endpoint.timeouts.node)

    async def get(self, name: str) -> Known:
        """A volume that is staged on this host; CSI has no other names than handles."""
        if not (self._folder / name).is_dir():
            raise SwarmError(
                Code.NOT_FOUND, f"CSI driver {self.name} has no volume {name} on this host"
            )
        return Known(name)

    async def list(self) -> Sequence[Known]:
        """The volumes that are staged on this host."""
        with contextlib.suppress(FileNotFoundError):
            return [Known(path.name) for path in sorted(self._folder.iterdir())]
        return []

    async def fence(self, volume: Volume, host_id: str) -> None:
        """The controller's affair; it need not be on the host that is meant."""
        await self.controller.fence(volume, host_id)

    async def _control(self) -> ControllerCapabilities:
        """What the controller in this instance can do; nothing, if it is in another one."""
        try:
            return await self.controller.capabilities()
        except SwarmError as error:
            if error.code is Code.UNSUPPORTED:
                return ControllerCapabilities()
            raise

    async def _stage(self, volume: Volume, can: frozenset[int], doing: str) -> str:
        """Where it is staged; empty if the driver does no such thing."""
        if _Rpc.STAGE_UNSTAGE_VOLUME not in can:
            return ""
        staging = str(self._staging(volume.name))
        request = requests.stage(volume, staging, _Rpc.SINGLE_NODE_MULTI_WRITER in can)
        await self._endpoint.call(
            doing,
            request,
            lambda channel: NodeStub(channel).NodeStageVolume,
            self._endpoint.timeouts.node,
        )
        return staging

    async def _publish(
        self, volume: Volume, staging: str, target: Path, can: frozenset[int], doing: str
    ) -> None:
        request = requests.publish_on_node(
            volume, staging, str(target), _Rpc.SINGLE_NODE_MULTI_WRITER in can
        )
        await self._endpoint.call(
            doing,
            request,
            lambda channel: NodeStub(channel).NodePublishVolume,
            self._endpoint.timeouts.node,
        )

    async def _checked(self, volume: Volume, target: Path) -> Path:
        """The target, if the volume is there."""
        if not is_mounted(target):
            why = f"nothing is mounted at {target}; do its mounts reach this host?"
            raise faults.lied(self.name, "NodePublishVolume", why)
        seen = await look(target)
        if seen is None or not (seen.is_device if volume.block else seen.is_folder):
            kind = "block device" if volume.block else "folder"
            raise faults.lied(self.name, "NodePublishVolume", f"there is no {kind} at {target}")
        return target

    async def _unmount(self, volume: Volume, place: Place, timeout: float) -> None:
        doing = f"unmount volume {volume.name}"
        can = await self._can(doing)
        unpublish = csi_pb2.NodeUnpublishVolumeRequest(
            volume_id=volume.handle, target_path=str(place.target)
        )
        with self._undoing("NodeUnpublishVolume", place.target):
            await self._endpoint.call(
                doing, unpublish, lambda channel: NodeStub(channel).NodeUnpublishVolume, timeout
            )
        staging = self._staging(volume.name)
        if _Rpc.STAGE_UNSTAGE_VOLUME in can:
            unstage = csi_pb2.NodeUnstageVolumeRequest(
                volume_id=volume.handle, staging_target_path=str(staging)
            )
            with self._undoing("NodeUnstageVolume", staging):
                await self._endpoint.call(
                    doing, unstage, lambda channel: NodeStub(channel).NodeUnstageVolume, timeout
                )
        await asyncio.to_thread(_remove, staging)

    @contextlib.contextmanager
    def _undoing(self, call: str, path: Path) -> Iterator[None]:
        """Of a volume that was deleted at the storage nothing is to be undone. But a mount that
        stays would go on writing after another node has the volume, whatever the driver says.
        """
        try:
            yield
        except SwarmError as error:
            if error.code is not Code.NOT_FOUND:
                raise
        if is_mounted(path):
            raise faults.lied(self.name, call, f"{path} is still mounted")

    async def _take_back(self, volume: Volume, place: Place) -> None:
        """After a failure nothing is to stay; what cannot be taken back now, `unmount` takes up."""
        try:
            await self._unmount(volume, place, min(_UNDO, self._endpoint.timeouts.node))
        except SwarmError as error:
            log.warning("after a failed mount: %s", error)

    async def _can(self, doing: str) -> frozenset[int]:
        answer = await self._endpoint.call(
            doing,
            csi_pb2.NodeGetCapabilitiesRequest(),
            lambda channel: NodeStub(channel).NodeGetCapabilities,
            self._endpoint.timeouts.question,
        )
        return frozenset(capability.rpc.type for capability in answer.capabilities)

    def _staging(self, name: str) -> Path:
        return self._folder / name / _STAGING


def _prepare(staging: Path, target: Path) -> None:
    """The folders as the specification wants them: the target is the driver's to make."""
    if not is_mounted(staging):  # else looking at it might hang
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # it is not there, or mounted already
        target.rmdir()


def _remove(staging: Path) -> None:
    """The folders of a volume that is not here any more; what is not empty stays."""
    for folder in (staging, staging.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()
