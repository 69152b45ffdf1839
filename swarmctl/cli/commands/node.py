"""`swarmctl node`: the hosts of the swarm."""

import click

from api.ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, host_pb2, objects_pb2, types_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.commands.task import TASKS, list_tasks
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import document
from swarmctl.cli.options import (
    choice,
    filter_option,
    format_option,
    inspect_format,
    no_trunc_option,
    pairs,
    parse_filters,
    quiet_option,
)
from swarmctl.cli.render import Listing, inspect, pretty
from swarmctl.cli.units import binary_size, rfc3339

ROLES = {"worker": types_pb2.NODE_ROLE_WORKER, "manager": types_pb2.NODE_ROLE_MANAGER}
AVAILABILITIES = {
    "active": types_pb2.NODE_AVAILABILITY_ACTIVE,
    "pause": types_pb2.NODE_AVAILABILITY_PAUSE,
    "drain": types_pb2.NODE_AVAILABILITY_DRAIN,
}
_FILTERS = ("id", "label", "name", "node.label", "role")
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
    more=(("Self", "SELF"), ("Address", "ADDRESS"), ("Message", "MESSAGE")),
)


@click.group()
def node() -> None:
    """Manage the nodes of the swarm."""


@node.command("ls")
@filter_option
@format_option
@quiet_option
@click.pass_obj
def ls(client: Client, filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List nodes."""
    _LISTING.check(form)
    asked = parse_filters(filters, _FILTERS)
    request = control_pb2.ListNodesRequest(
        ids=asked.get("id", []),
        names=asked.get("name", []),
        engine_labels=pairs(asked.get("label", []), "--filter"),
        node_labels=pairs(asked.get("node.label", []), "--filter"),
        roles=[choice(ROLES).convert(r, None, None) for r in asked.get("role", [])],
    )
    found = client.call(client.control.ListNodes, request, "listing nodes").nodes
    rows = [_row(each) for each in sorted(found, key=lambda n: n.description.hostname)]
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


@node.command("inspect")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("node"))
@inspect_format
@click.option("--pretty", "as_text", is_flag=True, help="Print for people")
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str, as_text: bool) -> None:
    """Show nodes in full. `self` is the node of this host."""
    found = [_get(client, name) for name in names]
    if as_text:
        click.echo("\n".join(_pretty(each) for each in found), nl=False)
    else:
        click.echo(inspect([document(each) for each in found], form), nl=False)


@node.command("ps")
@click.argument("names", nargs=-1, shell_complete=completes("node"))
@filter_option
@format_option
@no_trunc_option
@quiet_option
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@click.pass_obj
def ps(
    client: Client,
    names: tuple[str, ...],
    filters: tuple[str, ...],
    form: str,
    no_trunc: bool,
    quiet: bool,
    no_resolve: bool,
) -> None:
    """List the tasks of nodes, by default of this one."""
    TASKS.check(form)
    nodes = [_get(client, name).id for name in names or ("self",)]
    list_tasks(
        client,
        control_pb2.ListTasksRequest(node_keys=nodes),
        filters,
        form,
        no_trunc=no_trunc,
        quiet=quiet,
        resolve=not no_resolve,
    )


@node.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("node"))
@click.option("-f", "--force", is_flag=True, help="Also a node that is not down")
@click.pass_obj
def rm(client: Client, names: tuple[str, ...], force: bool) -> None:
    """Remove nodes from the swarm; their certificates are void at once."""
    for name in names:
        request = control_pb2.RemoveRequest(key=name, force=force, request_id=new_id())
        client.call(client.control.RemoveNode, request, f"removing node {name}")
        click.echo(name)


@node.command("update")
@click.argument("name", shell_complete=completes("node"))
@click.option("--availability", type=choice(AVAILABILITIES), help="active, pause or drain")
@click.option("--label-add", multiple=True, metavar="KEY=VALUE", help="Add or change a label")
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label")
@click.option("--role", type=choice(ROLES), help="worker or manager")
@click.pass_obj
def update(
    client: Client,
    name: str,
    availability: types_pb2.NodeAvailability.ValueType | None,
    label_add: tuple[str, ...],
    label_rm: tuple[str, ...],
    role: types_pb2.NodeRole.ValueType | None,
) -> None:
    """Change a node's availability, labels or role."""
    present = _get(client, name)
    request = control_pb2.UpdateNodeRequest(
        key=present.id, spec=present.spec, version=present.meta.version, request_id=new_id()
    )
    if availability is not None:
        request.spec.availability = availability
    if role is not None:
        request.spec.role = role
    labels = request.spec.annotations.labels
    for label in label_rm:
        if label not in labels:
            raise click.BadParameter(f"the node has no label {label!r}", param_hint="--label-rm")
        del labels[label]
    labels.update(pairs(label_add, "--label-add"))
    client.call(client.control.UpdateNode, request, f"updating node {name}")
    click.echo(name)


def _get(client: Client, name: str) -> objects_pb2.Node:
    if name == "self":
        name = client.call(
            client.host.Info, host_pb2.InfoRequest(), "asking this host"
        ).swarm.node_id
    request = control_pb2.GetRequest(key=name)
    return client.call(client.control.GetNode, request, f"looking up node {name}")


def _row(each: objects_pb2.Node) -> dict[str, str]:
    return {
        "ID": each.id,
        "Hostname": each.description.hostname,
        "Status": _word(types_pb2.NodeState.Name(each.status.state), "NODE_STATE_"),
        "Availability": _word(
            types_pb2.NodeAvailability.Name(each.spec.availability), "NODE_AVAILABILITY_"
        ),
        "ManagerStatus": _manager_status(each),
        "EngineVersion": each.description.engine.version,
        "Self": "false",
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
        ("Engine Version", description.engine.version),
        ("Runtime", description.engine.runtime),
    ]
    if row["ManagerStatus"]:
        lines += [
            ("Manager Status", ""),
            (" Address", each.manager.address),
            (" Status", row["ManagerStatus"]),
        ]
    lines += [(f" Label {key}", value) for key, value in each.spec.annotations.labels.items()]
    return pretty(lines)


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).capitalize()
