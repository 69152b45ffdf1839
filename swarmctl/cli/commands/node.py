"""`swarmctl node`: the hosts of the swarm."""

import base64
from collections.abc import Callable, Iterable

import click

from api.new_ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from swarmctl.cli import lists
from swarmctl.cli.changing import change, relabel
from swarmctl.cli.client import Client
from swarmctl.cli.commands.task import Shown, list_tasks, own_node, task_list_options
from swarmctl.cli.completion import completes
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import filter_option, label, narrow, read_filters, text, words
from swarmctl.cli.grammar import Noun
from swarmctl.cli.inspecting import inspect_each
from swarmctl.cli.options import (
    choice,
    format_option,
    inspect_format,
    pairs,
    pretty_option,
    quiet_option,
)
from swarmctl.cli.render import Listing, natural, pretty
from swarmctl.cli.units import binary_size, rfc3339

ROLES = {"worker": types_pb2.NODE_ROLE_WORKER, "manager": types_pb2.NODE_ROLE_MANAGER}
AVAILABILITIES = {
    "active": types_pb2.NODE_AVAILABILITY_ACTIVE,
    "pause": types_pb2.NODE_AVAILABILITY_PAUSE,
    "drain": types_pb2.NODE_AVAILABILITY_DRAIN,
}
_MEMBERSHIPS = {
    "accepted": (control_pb2.NODE_MEMBERSHIP_ACCEPTED,),
    "pending": (control_pb2.NODE_MEMBERSHIP_PENDING,),
}
_FILTERS = {
    "id": text("ids"),
    "label": label("engine_labels"),
    "membership": words("memberships", _MEMBERSHIPS),
    "name": text("names"),
    "node.label": label("node_labels"),
    "role": words("roles", {word: (role,) for word, role in ROLES.items()}),
}
_TASK_FILTERS = ("desired-state", "id", "label", "name")
_LISTING = Listing(
    columns=(
        ("ID", "ID"),
        ("Hostname", "HOSTNAME"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("ManagerStatus", "MANAGER STATUS"),
        ("EngineVersion", "ENGINE VERSION"),
    ),
    quiet="ID",
    more=(("Self", "SELF"), ("Star", ""), ("Address", "ADDRESS"), ("Message", "MESSAGE")),
)
_WITH_STAR = (
    "table {{.ID}} {{.Star}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}"
    "\t{{.ManagerStatus}}\t{{.EngineVersion}}"
)


@click.group(cls=Noun)
def node() -> None:
    """Manage the nodes of the swarm."""


@node.command("ls")
@filter_option(_FILTERS)
@format_option
@quiet_option
@click.pass_obj
def ls(client: Client, filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List nodes; the one of this host is marked with a star."""
    _LISTING.check(form)
    request = control_pb2.ListNodesRequest()
    narrow(request, read_filters(filters, _FILTERS))
    found = lists.nodes(client, request)
    own = "" if quiet or not client.serves_host() else own_node(client)
    ordered = sorted(found, key=lambda n: natural(n.description.hostname))
    rows = [_row(each, own) for each in ordered]
    shown = _WITH_STAR if form == "table" else form
    click.echo(_LISTING.render(rows, shown, quiet=quiet), nl=False)


@node.command("inspect")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("node"))
@inspect_format
@pretty_option
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str, as_text: bool) -> None:
    """Show nodes in full. `self` is the node of this host."""
    text_of = _pretty if as_text else None
    inspect_each(
        names, lambda name: _get(client, name), form, blank=objects_pb2.Node(), as_text=text_of
    )


@node.command("ps")
@click.argument("names", nargs=-1, shell_complete=completes("node"))
@task_list_options(_TASK_FILTERS)
@click.pass_obj
def ps(client: Client, names: tuple[str, ...], shown: Shown) -> None:
    """List the tasks of nodes, by default of this one."""
    nodes, complete = for_each(names or ("self",), lambda name: _get(client, name).id)
    if nodes:
        list_tasks(client, control_pb2.ListTasksRequest(node_keys=nodes), shown)
    end(complete)


@node.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("node"))
@click.option("-f", "--force", is_flag=True, help="Also a node that is not down")
@click.pass_obj
def rm(client: Client, names: tuple[str, ...], force: bool) -> None:
    """Remove nodes from the swarm; their certificates are void at once."""

    def remove(name: str) -> None:
        request = control_pb2.RemoveRequest(key=name, force=force, request_id=new_id())
        client.call(client.control.RemoveNode, request, f"removing node {name}")
        click.echo(name)

    _, complete = for_each(names, remove)
    end(complete)


@node.command("update")
@click.argument("name", metavar="NODE", shell_complete=completes("node"))
@click.option("--availability", type=choice(AVAILABILITIES), help="active, pause or drain")
@click.option("--label-add", multiple=True, metavar="KEY=VALUE", help="Add or change a label")
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label")
@click.option("--role", type=choice(ROLES), help="worker or manager")
@click.option("--rotate-network-key", is_flag=True, help="Another key for encrypted networks")
@click.pass_obj
def update(
    client: Client,
    name: str,
    availability: types_pb2.NodeAvailability.ValueType | None,
    label_add: tuple[str, ...],
    label_rm: tuple[str, ...],
    role: types_pb2.NodeRole.ValueType | None,
    rotate_network_key: bool,
) -> None:
    """Change a node's availability, labels, role or key."""
    added = pairs(label_add, "--label-add")

    def edit(spec: specs_pb2.NodeSpec) -> None:
        if availability is not None:
            spec.availability = availability
        if role is not None:
            spec.role = role
        spec.network_key_round += rotate_network_key
        relabel(spec.annotations.labels, added, label_rm, f"node {name}")

    _change(client, name, edit)
    click.echo(name)


@node.command("promote")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("node"))
@click.pass_obj
def promote(client: Client, names: tuple[str, ...]) -> None:
    """Make nodes managers."""
    _set_role(client, names, "manager", "Node {} promoted to a manager in the swarm.")


@node.command("demote")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("node"))
@click.pass_obj
def demote(client: Client, names: tuple[str, ...]) -> None:
    """Make managers mere workers."""
    _set_role(client, names, "worker", "Manager {} demoted in the swarm.")


def _set_role(client: Client, names: Iterable[str], word: str, done: str) -> None:
    """Docker's words, also where there is nothing to do."""
    role = ROLES[word]

    def edit(spec: specs_pb2.NodeSpec) -> None:
        spec.role = role

    def set_one(name: str) -> None:
        if _get(client, name).spec.role == role:
            click.echo(f"Node {name} is already a {word}.")
            return
        _change(client, name, edit)
        click.echo(done.format(name))

    _, complete = for_each(names, set_one)
    end(complete)


def _change(
    client: Client, name: str, edit: Callable[[specs_pb2.NodeSpec], None]
) -> objects_pb2.Node:
    def write(present: objects_pb2.Node) -> objects_pb2.Node:
        edit(present.spec)
        request = control_pb2.UpdateNodeRequest(
            key=present.id, spec=present.spec, version=present.meta.version, request_id=new_id()
        )
        return client.call(client.control.UpdateNode, request, f"updating node {name}")

    return change(lambda: _get(client, name), write)


def _get(client: Client, name: str) -> objects_pb2.Node:
    key = own_node(client) if name == "self" else name
    request = control_pb2.GetRequest(key=key)
    return client.call(client.control.GetNode, request, f"looking up node {name}")


def _row(each: objects_pb2.Node, own: str = "") -> dict[str, str]:
    return {
        "ID": each.id,
        "Hostname": each.description.hostname,
        "Status": _word(types_pb2.NodeState.Name(each.status.state), "NODE_STATE_"),
        "Availability": _word(
            types_pb2.NodeAvailability.Name(each.spec.availability), "NODE_AVAILABILITY_"
        ),
        "ManagerStatus": _manager_status(each),
        "EngineVersion": each.description.engine.version,
        "Self": str(each.id == own).lower(),
        "Star": "*" if each.id == own else " ",
        "Address": each.status.address,
        "Message": each.status.message,
    }


def _manager_status(each: objects_pb2.Node) -> str:
    if not each.HasField("manager"):
        return ""
    if each.manager.leader:
        return "Leader"
    return "Reachable" if each.manager.reachable else "Unreachable"


def _pretty(each: objects_pb2.Node) -> str:
    description, row = each.description, _row(each)
    lines = [
        ("ID", each.id),
        ("Hostname", row["Hostname"]),
        ("Joined at", rfc3339(seconds_of(each.meta.created_at))),
        ("Status", ""),
        (" State", row["Status"]),
        (" Message", each.status.message),
        (" Availability", row["Availability"]),
        (" Address", each.status.address),
        ("Platform", ""),
        (" Operating System", description.platform.os),
        (" Architecture", description.platform.architecture),
        ("Resources", ""),
        (" CPUs", f"{description.resources.nano_cpus / 1e9:g}"),
        (" Memory", binary_size(description.resources.memory_bytes)),
        *(
            (f" {each.kind}", ", ".join(each.ids) or str(each.count))
            for each in description.resources.generic
        ),
        ("Engine Version", description.engine.version),
        ("Runtime", description.engine.runtime),
        *_encryption(description),
        *_plugins(description),
    ]
    if row["ManagerStatus"]:
        lines += [
            ("Manager Status", ""),
            (" Address", each.manager.address),
            (" Status", row["ManagerStatus"]),
        ]
    engine = sorted(description.engine.labels.items())
    lines += [(f"Engine Label {key}", value) for key, value in engine]
    lines += [("In the Way of Networks", one.what) for one in description.network_obstacles]
    labels = sorted(each.spec.annotations.labels.items())
    lines += [(f"Label {key}", value) for key, value in labels]
    return pretty(lines)


def _encryption(description: objects_pb2.NodeDescription) -> list[tuple[str, str]]:
    """By what the node encrypts networks, and its public key; or why it does not."""
    if not description.wireguard_key:
        missing = description.encryption_missing
        return [("Encryption", f"none: {missing}")] if missing else []
    return [
        ("Encryption", description.encrypted_by),
        (" Key", base64.b64encode(description.wireguard_key).decode()),
        (" Address", description.wireguard_address),
        (" Port", f"{description.wireguard_port}/udp"),
    ]


def _plugins(description: objects_pb2.NodeDescription) -> list[tuple[str, str]]:
    """Its drivers of volumes, and where they say that it is."""
    drivers = description.volume_drivers
    if not drivers:
        return []
    places = [
        (f" {driver.name}", ", ".join(f"{key}={at}" for key, at in sorted(driver.segments.items())))
        for driver in drivers
        if driver.segments
    ]
    return [
        ("Plugins", ""),
        (" Volume", ", ".join(driver.name for driver in drivers)),
        *([("Topology", ""), *places] if places else []),
    ]


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).capitalize()
