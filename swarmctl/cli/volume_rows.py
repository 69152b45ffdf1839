"""Volumes of the swarm as lines: a row of the list, what is to be said of one. Draws nothing."""

from collections.abc import Iterator, Mapping

from api.times import seconds_of
from api.v1 import objects_pb2
from api.volumes import access_word, availability_word, driver_of, sharing_word
from swarmctl.cli.render import Listing
from swarmctl.cli.units import rfc3339

Transfer = objects_pb2.VolumeTransfer
Volume = objects_pb2.Volume
VolumeHolder = objects_pb2.VolumeHolder
Hosts = Mapping[str, str]
"""The names of nodes, by id."""

LISTING = Listing(
    columns=(
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Access", "ACCESS"),
        ("Availability", "AVAILABILITY"),
        ("Holders", "HELD BY"),
        ("Epoch", "EPOCH"),
    ),
    quiet="Name",
    more=(
        ("ID", "VOLUME ID"),
        ("Sharing", "SHARING"),
        ("Group", "GROUP"),
        ("Home", "HOME"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ),
)
_SHORT = 12


def names_nodes(each: Volume) -> bool:
    """Whether nodes have to be named to show it."""
    return bool(each.holders or each.home or each.transfer.node_id)


def row(each: Volume, hosts: Hosts, *, full: bool) -> dict[str, str]:
    """A row of the list."""
    spec, made = each.spec, each.meta.created_at
    return {
        "ID": each.id if full else each.id[:_SHORT],
        "Name": spec.annotations.name,
        "Driver": driver_of(spec),
        "Access": access_word(spec.access),
        "Availability": availability_word(spec.availability),
        "Holders": ", ".join(holder(h, hosts) for h in each.holders),
        "Epoch": str(each.epoch),
        "Sharing": sharing_word(spec.sharing),
        "Group": spec.group,
        "Home": called(hosts, each.home),
        "Labels": ",".join(f"{k}={v}" for k, v in sorted(spec.annotations.labels.items())),
        "CreatedAt": rfc3339(seconds_of(made)) if made.ByteSize() else "",
    }


def troubles(each: Volume, hosts: Hosts) -> Iterator[str]:
    """What keeps it from being used, or from going."""
    if each.HasField("transfer"):
        yield state_of(each, hosts)
    if each.removing:
        yield "is being deleted by its driver" + (f": {each.pending}" if each.pending else "")
    elif each.pending:
        yield each.pending
    for held in each.holders:
        if held.order_error:
            yield f"{holder(held, hosts)}: {held.order_error}"


def holder(held: VolumeHolder, hosts: Hosts) -> str:
    """A node that holds it, and how where that is not all."""
    host = called(hosts, held.node_id)
    word = VolumeHolder.State.Name(held.state).removeprefix("STATE_").lower()
    return host if held.state == VolumeHolder.STATE_HELD else f"{host} ({word})"


def state_of(volume: Volume, hosts: Hosts) -> str:
    """What is done with the data of the volume now, in words."""
    transfer = volume.transfer
    where = called(hosts, transfer.node_id)
    words = {
        Transfer.KIND_MIGRATE: f"is being moved to {where}",
        Transfer.KIND_BACKUP: "is being saved",
        Transfer.KIND_RESTORE: f"is being restored on {where}",
        Transfer.KIND_CLEAR: f"has an older copy on {where}, which is being deleted",
    }[transfer.kind]
    if transfer.error:
        words += f": {transfer.error}"
    elif volume.holders and transfer.kind != Transfer.KIND_CLEAR and not transfer.live:
        words += (
            f"; {', '.join(called(hosts, each.node_id) for each in volume.holders)} lets go of it"
        )
    return words


def called(hosts: Hosts, node_id: str) -> str:
    """What people call a node."""
    return hosts.get(node_id, "") or node_id
