"""Requests to CSI drivers out of our own words. Pure."""

from collections.abc import Iterable

from runtime.volume.controller import NewVolume, Segments
from runtime.volume.csi import capability
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.driver import Volume


def create(new: NewVolume, shares_node: bool) -> csi_pb2.CreateVolumeRequest:
    """A volume that is to be."""
    request = csi_pb2.CreateVolumeRequest(
        name=new.name,
        volume_capabilities=[_of_new(new, shares_node)],
        parameters=capability.parameters(new.options),
        secrets=capability.texts(new.secrets),
    )
    if new.required_bytes or new.limit_bytes:
        request.capacity_range.required_bytes = new.required_bytes
        request.capacity_range.limit_bytes = new.limit_bytes
    if new.required or new.preferred:
        request.accessibility_requirements.requisite.extend(_topologies(new.required))
        request.accessibility_requirements.preferred.extend(_topologies(new.preferred))
    return request


def publish(
    volume: Volume, host_id: str, *, shares_node: bool, read_only: bool
) -> csi_pb2.ControllerPublishVolumeRequest:
    """A volume that is to be opened to a node."""
    return csi_pb2.ControllerPublishVolumeRequest(
        volume_id=volume.handle,
        node_id=host_id,
        volume_capability=of(volume, shares_node),
        readonly=read_only,
        secrets=capability.texts(volume.secrets),
        volume_context=volume.context,
    )


def validate(volume: Volume, shares_node: bool) -> csi_pb2.ValidateVolumeCapabilitiesRequest:
    """Whether a volume can be used as it says."""
    return csi_pb2.ValidateVolumeCapabilitiesRequest(
        volume_id=volume.handle,
        volume_context=volume.context,
        volume_capabilities=[of(volume, shares_node)],
        parameters=capability.parameters(volume.options),
        secrets=capability.texts(volume.secrets),
    )


def capacity(new: NewVolume, segments: Segments, shares_node: bool) -> csi_pb2.GetCapacityRequest:
    """How much room there is for volumes like this one."""
    request = csi_pb2.GetCapacityRequest(
        volume_capabilities=[_of_new(new, shares_node)],
        parameters=capability.parameters(new.options),
    )
    if segments:
        request.accessible_topology.segments.update(segments)
    return request


def stage(volume: Volume, staging: str, shares_node: bool) -> csi_pb2.NodeStageVolumeRequest:
    """A volume that comes to a node, at a place that its uses there share."""
    return csi_pb2.NodeStageVolumeRequest(
        volume_id=volume.handle,
        publish_context=volume.publish_context,
        staging_target_path=staging,
        volume_capability=of(volume, shares_node),
        secrets=capability.texts(volume.secrets),
        volume_context=volume.context,
    )


def publish_on_node(
    volume: Volume, staging: str, target: str, shares_node: bool
) -> csi_pb2.NodePublishVolumeRequest:
    """A volume that is to be seen at a target; `staging` is empty if it was not staged."""
    return csi_pb2.NodePublishVolumeRequest(
        volume_id=volume.handle,
        publish_context=volume.publish_context,
        staging_target_path=staging,
        target_path=target,
        volume_capability=of(volume, shares_node),
        readonly=volume.read_only,
        secrets=capability.texts(volume.secrets),
        volume_context=volume.context,
    )


def of(volume: Volume, shares_node: bool) -> csi_pb2.VolumeCapability:
    """How the volume is to be used."""
    return capability.wanted(
        volume.access, volume.options, block=volume.block, shares_node=shares_node
    )


def _of_new(new: NewVolume, shares_node: bool) -> csi_pb2.VolumeCapability:
    return capability.wanted(new.access, new.options, block=new.block, shares_node=shares_node)


def _topologies(places: Iterable[Segments]) -> list[csi_pb2.Topology]:
    return [csi_pb2.Topology(segments=place) for place in places]
