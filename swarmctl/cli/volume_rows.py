"""How volumes of the swarm are shown in a list, and what is said of those in trouble. Pure."""

from collections.abc import Iterator, Mapping

from api.times import seconds_of
from api.v1 import objects_pb2
from api.volumes import access_word, availability_word, driver_of, sharing_word
from swarmctl.cli.render import Listing
from swarmctl.cli.units import rfc3339

Holder = objects_pb2.VolumeHolder
Transfer = objects_pb2.VolumeTransfer
Hosts = Mapping[str, str]
"""The names of nodes, by id."""

_SHORT = 12
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


def names_nodes(each: objects_pb2.Volume) -> bool:
    """Whether nodes have to be named to show it."""
    return bool(each.holders or each.home or each.transfer.node_id)


def row(each: objects_pb2.Volume, hosts: Hosts, *, full: bool) -> dict[str, str]:
    """The fields of a volume; `full`: with its whole id."""
    spec, made = each.spec, each.meta.created_at
    return {
        "ID": each.id if full else each.id[:_SHORT],
        "Name": spec.annotations.name,
        "Driver": driver_of(spec),
        "Access": access_word(spec.access),
        "Availability": availability_word(spec.availability),
        "Holders": ", ".join(holder_text(h, hosts) for h in each.holders),
        "Epoch": str(each.epoch),
        "Sharing": sharing_word(spec.sharing),
        "Group": spec.group,
        "Home": hosts.get(each.home, "") or each.home,
        "Labels": ",".join(f"{k}={v}" for k, v in sorted(spec.annotations.labels.items())),
        "CreatedAt": rfc3339(seconds_of(made)) if made.ByteSize() else "",
    }


def troubles(each: objects_pb2.Volume, hosts: Hosts) -> Iterator[str]:
    """What keeps it from being used, or deleted."""
    if each.HasField("transfer"):
        yield state_of(each, hosts)
    if each.removing:
        yield "is being deleted by its driver" + (f": {each.pending}" if each.pending else "")
    elif each.pending:
        yield each.pending
    for holder in each.holders:
        if holder.order_error:
            yield f"{holder_text(holder, hosts)}: {holder.order_error}"


def holder_text(holder: Holder, hosts: Hosts) -> str:
    """The node that holds it, and how, if not just so."""
    host = hosts.get(holder.node_id, "") or holder.node_id
    word = Holder.State.Name(holder.state).removeprefix("STATE_").lower()
    return host if holder.state == Holder.STATE_HELD else f"{host} ({word})"


def state_of(volume: objects_pb2.Volume, hosts: Hosts) -> str:
    """What is done with the data of the volume now."""
    transfer = volume.transfer
    where = hosts.get(transfer.node_id, "") or transfer.node_id
    words = {
        Transfer.KIND_MIGRATE: f"is being moved to {where}",
        Transfer.KIND_BACKUP: "is being saved",
        Transfer.KIND_RESTORE: f"is being restored on {where}",
        Transfer.KIND_CLEAR: f"has an older copy on {where}, which is being deleted",
    }[transfer.kind]
    if transfer.error:
        words += f": {transfer.error}"
    elif volume.holders and transfer.kind != Transfer.KIND_CLEAR and not transfer.live:
        holders = ", ".join(hosts.get(each.node_id, "") or each.node_id for each in volume.holders)
        words += f"; {holders} lets go of it"
    return words
