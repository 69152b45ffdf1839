"""`swarmctl volume`: data that follows a task to another host."""

import click

from api.errors import Code, SwarmError
from api.new_ids import new_id
from api.times import duration
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from api.volumes import ACCESS_WORDS
from swarmctl.cli import lists, local_volumes, volume_rows
from swarmctl.cli.changing import change, relabel
from swarmctl.cli.client import Client
from swarmctl.cli.commands.volume_data import backup, migrate, restore
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import Document, document
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import Table, filter_option, label, narrow, read_filters, text, words
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import (
    DURATION,
    format_option,
    inspect_format,
    no_trunc_option,
    pairs,
    quiet_option,
)
from swarmctl.cli.render import check_inspect, inspect, natural
from swarmctl.cli.specs import volumes as specs

_TRUTH = {"true": (True,), "1": (True,), "false": (False,), "0": (False,)}
_PRUNED = {"label": label("labels")}
_FILTERS = {
    "dangling": words("dangling", _TRUTH),
    "driver": text("drivers"),
    "group": text("groups"),
    "id": text("ids"),
    **_PRUNED,
    "name": text("names"),
    "node": text("node_keys"),
}
_AVAILABILITIES = ("active", "pause", "drain")


@click.group(cls=Noun)
def volume() -> None:
    """Manage volumes of the swarm: one node at a time holds one by a lease, if it is not shared."""


@volume.command("create")
@click.argument("name", metavar="VOLUME")
@click.option("-d", "--driver", default="local", help="Its driver [local]")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="For its driver")
@click.option("--access", default="", help=f"{', '.join(ACCESS_WORDS)} [single-writer]")
@click.option("--scope", default="", help="single or multi: Docker's words for --access")
@click.option("--sharing", default="", help="none, readonly, onewriter or all: likewise")
@click.option("--availability", type=click.Choice(_AVAILABILITIES), default="active")
@click.option("--group", default="", help="A mount of source group:NAME takes any of it")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label")
@click.option("--lease", type=DURATION, default=None, help="How long a node may be out of touch")
@click.option("--type", "kind", type=click.Choice(("mount", "block")), default="mount")
@click.option("--required-bytes", default="", metavar="SIZE", help="At the least")
@click.option("--limit-bytes", default="", metavar="SIZE", help="At the most")
@click.option("--secret", "secrets", multiple=True, metavar="KEY=SECRET", help="For its driver")
@click.option("--topology-required", "required", multiple=True, metavar="KEY=VALUE,...")
@click.option("--topology-preferred", "preferred", multiple=True, metavar="KEY=VALUE,...")
@click.pass_obj
def create(
    client: Client,
    name: str,
    driver: str,
    options: tuple[str, ...],
    access: str,
    scope: str,
    sharing: str,
    availability: str,
    group: str,
    labels: tuple[str, ...],
    lease: float | None,
    kind: str,
    required_bytes: str,
    limit_bytes: str,
    secrets: tuple[str, ...],
    required: tuple[str, ...],
    preferred: tuple[str, ...],
) -> None:
    """Create a volume that tasks of any node may come to hold."""
    try:
        among_nodes, among_tasks = specs.access(access, scope, sharing)
        spec = specs_pb2.VolumeSpec(
            annotations=types_pb2.Annotations(name=name, labels=pairs(labels, "--label")),
            driver=driver,
            driver_options=pairs(options, "--opt"),
            access=among_nodes,
            sharing=among_tasks,
            availability=specs.availability(availability),
            group=group,
            block=kind == "block",
            required_bytes=specs.size(required_bytes),
            limit_bytes=specs.size(limit_bytes),
            secrets=specs.secrets(secrets),
            topology_required=map(specs.topology, required),
            topology_preferred=map(specs.topology, preferred),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if lease is not None:
        spec.lease_term.CopyFrom(duration(lease))
    request = control_pb2.CreateVolumeRequest(spec=spec, request_id=new_id())
    made = client.call(client.control.CreateVolume, request, f"creating volume {name}")
    click.echo(made.spec.annotations.name)


@volume.command("ls")
@filter_option(_FILTERS)
@click.option("--cluster", is_flag=True, help="Those of the swarm, as where nothing is said")
@click.option("--local", is_flag=True, help="Those of this host alone, which mounts have made")
@format_option
@no_trunc_option
@quiet_option
@click.pass_obj
def ls(
    client: Client,
    filters: tuple[str, ...],
    cluster: bool,
    local: bool,
    form: str,
    no_trunc: bool,
    quiet: bool,
) -> None:
    """List volumes of the swarm, with the nodes that hold them; or those of this host alone."""
    if local:
        if cluster or filters:
            raise click.UsageError("--local goes with neither --cluster nor --filter")
        local_volumes.LISTING.check(form)
        own = [local_volumes.row(each, full=no_trunc) for each in local_volumes.every(client)]
        click.echo(local_volumes.LISTING.render(own, form, quiet=quiet), nl=False)
        return
    volume_rows.LISTING.check(form)
    found = lists.volumes(client, _listed(filters, _FILTERS))
    hosts = lists.hostnames(client) if any(map(volume_rows.names_nodes, found)) else {}
    ordered = sorted(found, key=lambda each: natural(each.spec.annotations.name))
    rows = [volume_rows.row(each, hosts, full=no_trunc) for each in ordered]
    click.echo(volume_rows.LISTING.render(rows, form, quiet=quiet), nl=False)
    for each in ordered:
        for trouble in volume_rows.troubles(each, hosts):
            click.echo(f"volume {each.spec.annotations.name}: {trouble}", err=True)


@volume.command("inspect")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("volume"))
@inspect_format
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str) -> None:
    """Show volumes in full: those of the swarm, or of this host alone."""
    check_inspect(form, document(objects_pb2.Volume()))

    def show(name: str) -> Document:
        return document(local_volumes.meant(client, name) or _get(client, name))

    found, complete = for_each(names, show)
    click.echo(inspect(found, form), nl=False)
    end(complete)


@volume.command("update")
@click.argument("name", metavar="VOLUME", shell_complete=completes("volume"))
@click.option("--availability", type=click.Choice(_AVAILABILITIES), default=None)
@click.option("--group", default=None, help="A mount of source group:NAME takes any of it")
@click.option("--lease", type=DURATION, default=None, help="While nobody holds it")
@click.option("--label-add", multiple=True, metavar="KEY=VALUE", help="Add or change a label")
@click.option("--label-rm", multiple=True, metavar="KEY", help="Remove a label")
@click.pass_obj
def update(
    client: Client,
    name: str,
    availability: str | None,
    group: str | None,
    lease: float | None,
    label_add: tuple[str, ...],
    label_rm: tuple[str, ...],
) -> None:
    """Change a volume's availability, group, labels or lease. Tasks leave one that is drained."""
    added = pairs(label_add, "--label-add")

    def write(present: objects_pb2.Volume) -> None:
        spec = present.spec
        if availability is not None:
            spec.availability = specs.availability(availability)
        if group is not None:
            spec.group = group
        if lease is not None:
            spec.lease_term.CopyFrom(duration(lease))
        relabel(spec.annotations.labels, added, label_rm, f"volume {name}")
        request = control_pb2.UpdateVolumeRequest(
            key=present.id, spec=spec, version=present.meta.version, request_id=new_id()
        )
        client.call(client.control.UpdateVolume, request, f"updating volume {name}")

    change(lambda: _get(client, name), write)
    click.echo(name)


@volume.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("volume"))
@click.option(
    "-f", "--force", is_flag=True, help="At once, whatever its driver has yet to delete; none is ok"
)
@click.pass_obj
def rm(client: Client, names: tuple[str, ...], force: bool) -> None:
    """Remove volumes that nothing uses, with their data once their driver has deleted it."""

    def remove(name: str) -> None:
        try:
            if local_volumes.meant(client, name) is not None:
                local_volumes.remove(client, name)
            else:
                _remove(client, name, force=force)
        except SwarmError as error:
            if not force or error.code is not Code.NOT_FOUND:
                raise
        else:
            click.echo(name)

    _, complete = for_each(names, remove)
    end(complete)


@volume.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="As Docker has it: all have a name")
@click.option("-f", "--force", is_flag=True, help="Do not ask")
@click.option("--filter", "filters", multiple=True, metavar="label=KEY", help="Only those")
@click.pass_obj
def prune(client: Client, everything: bool, filters: tuple[str, ...], force: bool) -> None:
    """Remove every volume of the swarm that no service, task or node uses."""
    request = _listed(filters, _PRUNED)
    request.dangling.append(True)
    if not force:
        click.confirm(
            "This will remove all volumes of the swarm that nothing uses, with their data.\n"
            "Are you sure you want to continue?",
            abort=True,
            err=True,
        )
    names = [each.spec.annotations.name for each in lists.volumes(client, request)]
    if not names:
        return

    def remove(name: str) -> None:
        _remove(client, name)
        click.echo(name)

    click.echo("Deleted Volumes:")
    _, complete = for_each(names, remove)
    end(complete)


@volume.command("force-release")
@click.argument("name", metavar="VOLUME", shell_complete=completes("volume"))
@click.option("--node", "node_key", default="", help="Only the hold of this node")
@click.option("-f", "--force", is_flag=True, help="Do not ask")
@click.pass_obj
def force_release(client: Client, name: str, node_key: str, force: bool) -> None:
    """Take a volume from a node that has not let it go.

    Only where you know that the node is off, or cannot reach the storage: a node that writes on
    while another one writes destroys the data. Leases end by themselves; wait, unless you know
    better.
    """
    if not force and (holders := _get(client, name).holders):
        hosts = lists.hostnames(client)
        nodes = ", ".join(volume_rows.holder_text(each, hosts) for each in holders)
        click.confirm(
            f"Volume {name} is held by {nodes}.\n"
            "If that node still runs and reaches the storage, it and the next node will both "
            "write, and the data will be DESTROYED.\n"
            "Have you made sure that it is off?",
            abort=True,
            err=True,
        )
    request = control_pb2.ForceReleaseVolumeRequest(
        key=name, node_key=node_key, request_id=new_id()
    )
    client.call(client.control.ForceReleaseVolume, request, f"releasing volume {name}")
    click.echo(name)


def _get(client: Client, name: str) -> objects_pb2.Volume:
    request = control_pb2.GetRequest(key=name)
    return client.call(client.control.GetVolume, request, f"looking up volume {name}")


def _remove(client: Client, name: str, *, force: bool = False) -> None:
    request = control_pb2.RemoveRequest(key=name, request_id=new_id(), force=force)
    client.call(client.control.RemoveVolume, request, f"removing volume {name}")


def _listed(filters: tuple[str, ...], known: Table) -> control_pb2.ListVolumesRequest:
    request = control_pb2.ListVolumesRequest()
    narrow(request, read_filters(filters, known))
    return request


for each_of_data in (backup, restore, migrate):
    volume.add_command(each_of_data)
