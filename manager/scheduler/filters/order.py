"""All filters, in the order in which they are asked."""

from manager.scheduler.filters.base import Filter
from manager.scheduler.filters.node import (
    AvailabilityFilter,
    ControllerFilter,
    EncryptionFilter,
    NetworkFilter,
    PlatformFilter,
    ReadyFilter,
)
from manager.scheduler.filters.placement import (
    ConstraintFilter,
    HostPortFilter,
    MaxReplicasFilter,
)
from manager.scheduler.filters.resources import CpuFilter, GenericFilter, MemoryFilter
from manager.scheduler.filters.volume import VolumeFilter
from manager.scheduler.volumes import Volumes


def default_filters(volumes: Volumes) -> list[Filter]:
    """The first refusal is the one counted, so what is the harder to change comes first."""
    return [
        ReadyFilter(),
        AvailabilityFilter(),
        ConstraintFilter(),
        PlatformFilter(),
        ControllerFilter(),
        NetworkFilter(),
        EncryptionFilter(),
        VolumeFilter(volumes),
        CpuFilter(),
        MemoryFilter(),
        GenericFilter(),
        HostPortFilter(),
        MaxReplicasFilter(),
    ]
