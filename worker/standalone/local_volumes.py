"""The volumes of a host that are its own, as its operator sees them."""

from collections.abc import AsyncGenerator, AsyncIterator

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import containers_pb2
from runtime.volume.host import VolumeHost
from runtime.volume.wants import OwnVolume, own_key


async def every(host: VolumeHost) -> list[containers_pb2.LocalVolume]:
    """All of them, by name."""
    return [await _view(host, own) for own in host.own.every()]


def save(host: VolumeHost, name: str, *, live: bool) -> AsyncGenerator[bytes, None]:
    """The archive of one; REFUSED while a container has it, but for `live`."""
    users = host.users(own_key(name))
    if users and not live:
        raise SwarmError(
            Code.REFUSED,
            f"volume {name} is in use",
            why=f"container {users[0]} may write while it is read",
            remedy="stop it first; --live reads beside it, which gives at best what a crash would "
            "leave",
        )
    return host.own.save(name, live=live)


async def restore(
    host: VolumeHost, name: str, pieces: AsyncIterator[bytes], *, devices: bool
) -> containers_pb2.LocalVolume:
    """A new one from an archive; EXISTS if there is one of that name."""
    return await _view(host, await host.own.restore(name, pieces, devices=devices))


async def _view(host: VolumeHost, own: OwnVolume) -> containers_pb2.LocalVolume:
    return containers_pb2.LocalVolume(
        name=own.name,
        driver=own.driver,
        driver_options=own.options,
        labels=own.labels,
        created_at=timestamp(own.created_at),
        owner=own.owner,
        users=host.users(own_key(own.name)),
        mountpoint=await host.own.place(own.name),
    )
