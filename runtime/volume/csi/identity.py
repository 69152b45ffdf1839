"""Who a CSI driver is: asked before anything else, for a socket may be anybody's."""

from dataclasses import dataclass

from runtime.volume.csi import answers, faults
from runtime.volume.csi.endpoint import Endpoint
from runtime.volume.csi.v1 import csi_pb2
from runtime.volume.csi.v1.csi_pb2_grpc import IdentityStub

_Service = csi_pb2.PluginCapability.Service


@dataclass(frozen=True, slots=True)
class Identity:
    """`controls`: it has a controller, if perhaps on other hosts; `has_topology`: its volumes are
    not everywhere.
    """

    version: str
    controls: bool
    has_topology: bool


async def identify(endpoint: Endpoint) -> Identity:
    """The driver, if it is the one that the socket is called after, and ready."""
    doing, timeout = "say who it is", endpoint.timeouts.question
    info = await endpoint.call(
        doing,
        csi_pb2.GetPluginInfoRequest(),
        lambda channel: IdentityStub(channel).GetPluginInfo,
        timeout,
    )
    if info.name != endpoint.name:
        raise faults.other_name(endpoint.name, str(endpoint.path), info.name)
    ready = await endpoint.call(
        doing, csi_pb2.ProbeRequest(), lambda channel: IdentityStub(channel).Probe, timeout
    )
    if ready.HasField("ready") and not ready.ready.value:
        raise faults.not_ready(endpoint.name)
    told = await endpoint.call(
        doing,
        csi_pb2.GetPluginCapabilitiesRequest(),
        lambda channel: IdentityStub(channel).GetPluginCapabilities,
        timeout,
    )
    services = {capability.service.type for capability in told.capabilities}
    version = endpoint.read(info, lambda told: answers.limited("version", told.vendor_version))
    return Identity(
        version,
        controls=_Service.CONTROLLER_SERVICE in services,
        has_topology=_Service.VOLUME_ACCESSIBILITY_CONSTRAINTS in services,
    )
