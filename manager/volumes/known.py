"""What drivers have to know of a volume, on whatever node and whatever they are to do. Pure."""

from collections.abc import Mapping

from api.v1 import objects_pb2, volume_pb2
from api.volumes import driver_of


def as_driver_knows(
    volume: objects_pb2.Volume, secrets: Mapping[str, bytes]
) -> volume_pb2.NodeVolume:
    """The volume, without a lease; `secrets`: what its driver asks for, by its own keys."""
    spec = volume.spec
    return volume_pb2.NodeVolume(
        id=volume.id,
        name=spec.annotations.name,
        driver=driver_of(spec),
        driver_options=spec.driver_options,
        access=spec.access,
        sharing=spec.sharing,
        handle=volume.made.handle,
        context=volume.made.context,
        block=spec.block,
        secrets=secrets,
        generation=volume.generation,
    )
