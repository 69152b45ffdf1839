"""`swarmctl network`: what tasks meet in, across hosts."""

from collections.abc import Callable

import click

from api.errors import Code, SwarmError
from api.networks import DRIVERS, driver_of, is_internal, scope_of
from api.new_ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from swarmctl.cli import local_networks
from swarmctl.cli.changing import change, relabel
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import Document, document
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import (
    Table,
    filter_option,
    label,
    narrow,
    read_filters,
    text,
    words,
)
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import (
    format_option,
    inspect_format,
    no_trunc_option,
    pairs,
    quiet_option,
)
from swarmctl.cli.render import Listing, check_inspect, inspect, natural
from swarmctl.cli.specs.networks import pools
from swarmctl.cli.units import rfc3339

_SHORT = 12
_TRUTH = {"true": (True,), "1": (True,), "false": (False,), "0": (False,)}
_TYPES = {"builtin": ("builtin",), "custom": ("custom",)}
_PRUNED = {"label": label("labels")}
_FILTERS = {
    "dangling": words("dangling", _TRUTH),
    "driver": text("drivers"),
    "id": text("ids"),
    **_PRUNED,
    "name": text("names"),
    "scope": text("scopes"),
    "type": words("types", _TYPES),
}
_LISTING = Listing(
    columns=(("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")),
    quiet="ID",
    more=(
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
        ("Subnets", "SUBNETS"),
        ("Warning", "WARNING"),
    ),
)
_label_option = click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label")
_range_options = (
    click.option("--gateway", "gateways", multiple=True, metavar="ADDR", help="Of a subnet"),
    click.option("--ip-range", "ranges", multiple=True, metavar="CIDR", help="Part handed out"),
    click.option(
        "--aux-address", "aux", multiple=True, metavar="NAME=ADDR", help="Never handed out"
    ),
)


def _ranges(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_range_options):
        command = option(command)
    return command


@click.group(
    cls=Noun,
    lazy={
        "check": (
            "swarmctl.cli.commands.network_check:check",
            "Look whether networks do what they ought to, and mend them",
        ),
        "connect": (
            "swarmctl.cli.commands.network_containers:connect",
            "Put a container of this host that is no task into a network.",
        ),
        "disconnect": (
            "swarmctl.cli.commands.network_containers:disconnect",
            "Take a container of this host that is no task out of a network.",
        ),
    },
)
def network() -> None:
    """Manage networks: tasks in one meet each other by name, on whatever hosts they are."""


@network.command("create")
@click.argument("name", metavar="NETWORK")
@click.option("-d", "--driver", default="overlay", help=f"{', '.join(DRIVERS)} [overlay]")
@click.option("--subnet", "subnets", multiple=True, metavar="CIDR", help="Its addresses [chosen]")
@_ranges
@click.option("--ipv6", is_flag=True, help="Addresses of IPv6 too")
@click.option("--internal", is_flag=True, help="No way out of it")
@click.option("--attachable", is_flag=True, help="Containers that are no tasks may join")
@click.option("--ingress", is_flag=True, help="For published ports; there is one in a swarm")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="For its driver")
@_label_option
@click.option("--scope", default="", help="swarm or local")
@click.pass_obj
def create(
    client: Client,
    name: str,
    driver: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[str, ...],
    ipv6: bool,
    internal: bool,
    attachable: bool,
    ingress: bool,
    options: tuple[str, ...],
    labels: tuple[str, ...],
    scope: str,
) -> None:
    """Create a network."""
    spec = specs_pb2.NetworkSpec(
        annotations=types_pb2.Annotations(name=name, labels=pairs(labels, "--label")),
        driver=driver,
        driver_options=pairs(options, "--opt"),
        internal=internal,
        attachable=attachable,
        ingress=ingress,
        ipv6=ipv6,
        pools=_pools(subnets, gateways, ranges, aux),
        scope=scope,
    )
    if local_networks.is_local(spec):
        click.echo(local_networks.create(client, spec).id)
        return
    request = control_pb2.CreateNetworkRequest(spec=spec, request_id=new_id())
    made = client.call(client.control.CreateNetwork, request, f"creating network {name}")
    click.echo(made.id)


@network.command("ls")
@filter_option(_FILTERS)
@format_option
@no_trunc_option
@quiet_option
@click.pass_obj
def ls(client: Client, filters: tuple[str, ...], form: str, no_trunc: bool, quiet: bool) -> None:
    """List networks."""
    _LISTING.check(form)
    request = _listed(filters, _FILTERS)
    found = local_networks.listed(client, request)
    ordered = sorted(found, key=lambda each: natural(each.spec.annotations.name))
    rows = [_row(each, full=no_trunc) for each in ordered]
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)
    for each in ordered:
        for trouble in filter(None, (each.pending, each.warning)):
            click.echo(f"network {each.spec.annotations.name}: {trouble}", err=True)


@network.command("inspect")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("network"))
@inspect_format
@click.option("-v", "--verbose", is_flag=True, help="With services, their tasks, and nodes")
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str, verbose: bool) -> None:
    """Show networks in full."""
    blank = document(objects_pb2.Network())
    check_inspect(form, blank)

    def show(name: str) -> Document:
        if (local := local_networks.find(client, name)) is not None:
            shown = document(local)
            if verbose:
                shown["Use"] = {"Containers": local_networks.users(client, local)}
            return shown
        request = control_pb2.GetRequest(key=name)
        found = client.call(client.control.GetNetwork, request, f"looking up network {name}")
        shown = document(found)
        if verbose:
            request = control_pb2.GetRequest(key=found.id)
            use = client.call(client.control.GetNetworkUse, request, f"asking who is in {name}")
            shown["Use"] = document(use)
        return shown

    found, complete = for_each(names, show)
    click.echo(inspect(found, form), nl=False)
    end(complete)


@network.command("update")
@click.argument("name", metavar="NETWORK", shell_complete=completes("network"))
@click.option("--add-subnet", "subnets", multiple=True, metavar="CIDR", help="Further addresses")
@_ranges
@click.option("--label-add", multiple=True, metavar="KEY=VALUE", help="Add or change a label")
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label")
@click.pass_obj
def update(
    client: Client,
    name: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[str, ...],
    label_add: tuple[str, ...],
    label_rm: tuple[str, ...],
) -> None:
    """Give a network further subnets, while it is in use, or other labels."""
    fresh = _pools(subnets, gateways, ranges, aux)
    added = pairs(label_add, "--label-add")

    def read() -> objects_pb2.Network:
        request = control_pb2.GetRequest(key=name)
        return client.call(client.control.GetNetwork, request, f"looking up network {name}")

    def write(present: objects_pb2.Network) -> None:
        spec = present.spec
        spec.pools.extend(fresh)
        relabel(spec.annotations.labels, added, label_rm, f"network {name}")
        request = control_pb2.UpdateNetworkRequest(
            key=present.id, spec=spec, version=present.meta.version, request_id=new_id()
        )
        client.call(client.control.UpdateNetwork, request, f"updating network {name}")

    change(read, write)
    click.echo(name)


@network.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("network"))
@click.option("-f", "--force", is_flag=True, help="Be content if there is none of that name")
@click.pass_obj
def rm(client: Client, names: tuple[str, ...], force: bool) -> None:
    """Remove networks that nothing uses."""

    def remove(name: str) -> None:
        try:
            _remove(client, name)
        except SwarmError as error:
            if not force or error.code is not Code.NOT_FOUND:
                raise
        else:
            click.echo(name)

    _, complete = for_each(names, remove)
    end(complete)


@network.command("prune")
@click.option("-f", "--force", is_flag=True, help="Do not ask")
@click.option("--filter", "filters", multiple=True, metavar="label=KEY", help="Only those")
@click.pass_obj
def prune(client: Client, filters: tuple[str, ...], force: bool) -> None:
    """Remove every network that no service, no task and no container of this host uses."""
    request = _listed(filters, _PRUNED)
    request.types.append("custom")
    request.dangling.append(True)
    if not force:
        click.confirm(
            "This will remove all networks that no service, no task and no container of this\n"
            "host uses.\n"
            "Are you sure you want to continue?",
            abort=True,
            err=True,
        )
    # By their ids: this host and the swarm may have a network of the same name.
    names = {each.id: each.spec.annotations.name for each in local_networks.listed(client, request)}
    if not names:
        return

    def remove(network_id: str) -> None:
        _remove(client, network_id)
        click.echo(names[network_id])

    click.echo("Deleted Networks:")
    _, complete = for_each(names, remove)
    end(complete)


def _remove(client: Client, name: str) -> None:
    if (local := local_networks.find(client, name)) is not None:
        local_networks.remove(client, local)
        return
    request = control_pb2.RemoveRequest(key=name, request_id=new_id())
    client.call(client.control.RemoveNetwork, request, f"removing network {name}")


def _listed(filters: tuple[str, ...], known: Table) -> control_pb2.ListNetworksRequest:
    request = control_pb2.ListNetworksRequest()
    narrow(request, read_filters(filters, known))
    return request


def _pools(
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[str, ...],
) -> list[specs_pb2.IpamConfig]:
    named = pairs(aux, "--aux-address")
    try:
        return pools(subnets, gateways=gateways, ranges=ranges, aux=named)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _row(each: objects_pb2.Network, *, full: bool) -> dict[str, str]:
    labels = each.spec.annotations.labels
    made = each.meta.created_at
    return {
        "ID": each.id if full else each.id[:_SHORT],
        "Name": each.spec.annotations.name,
        "Driver": driver_of(each.spec),
        "Scope": scope_of(each.spec),
        "IPv6": str(each.spec.ipv6).lower(),
        "Internal": str(is_internal(each.spec)).lower(),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "CreatedAt": rfc3339(seconds_of(made)) if made.ByteSize() else "",
        "Subnets": ",".join(pool.subnet for pool in each.pools),
        "Warning": each.pending or each.warning,
    }
