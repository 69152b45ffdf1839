"""Volumes of one host alone, beside those of the swarm: asked of that host, on its own socket."""

from collections.abc import Sequence

from api.errors import Code, SwarmError
from api.times import seconds_of
from api.v1 import containers_pb2, control_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.render import Listing
from swarmctl.cli.units import rfc3339

LocalVolume = containers_pb2.LocalVolume

LISTING = Listing(
    columns=(
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Users", "USED BY"),
    ),
    quiet="Name",
    more=(
        ("Owner", "OWNER"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ),
)
_SHORT = 12


def every(client: Client) -> Sequence[LocalVolume]:
    """Those of the host whose daemon is asked; REFUSED if that is elsewhere."""
    if not client.serves_host():
        raise SwarmError(
            Code.REFUSED,
            "volumes of a host's own are not told to others",
            remedy="use the socket of that host: swarmctl -H unix:///run/swarm/swarmd.sock",
        )
    request = containers_pb2.ListLocalVolumesRequest()
    method = client.containers.ListLocalVolumes
    return client.call(method, request, "listing volumes of this host").volumes


def find(client: Client, name: str) -> LocalVolume | None:
    """One of this host; None if there is none, or the daemon is elsewhere."""
    if not client.serves_host():
        return None
    return next((each for each in every(client) if each.name == name), None)


def meant(client: Client, name: str) -> LocalVolume | None:
    """The one of this host that a name means; None if it means one of the swarm.

    One of the swarm with that very name or id comes first. One whose id only begins so does not:
    nobody who names a volume of his host means to delete that. SwarmError if there is none at all.
    """
    request = control_pb2.GetRequest(key=name)
    try:
        found = client.call(client.control.GetVolume, request, f"looking up volume {name}")
    except SwarmError as error:
        # There is none, or no swarm, or several whose ids begin so.
        if error.code not in (Code.NOT_FOUND, Code.REFUSED, Code.INVALID):
            raise
        if (own := find(client, name)) is None:
            raise
        return own
    return None if name in (found.id, found.spec.annotations.name) else find(client, name)


def remove(client: Client, name: str) -> None:
    """Deletes one with its data."""
    request = containers_pb2.RemoveLocalVolumeRequest(name=name)
    client.call(client.containers.RemoveLocalVolume, request, f"removing volume {name}", once=True)


def row(volume: LocalVolume, *, full: bool) -> dict[str, str]:
    """A row of the list."""
    return {
        "Driver": volume.driver,
        "Name": volume.name,
        "Users": ", ".join(each if full else each[:_SHORT] for each in volume.users),
        "Owner": volume.owner,
        "Mountpoint": volume.mountpoint,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items())),
        "CreatedAt": rfc3339(seconds_of(volume.created_at)),
    }
