"""`swarmctl service`: what runs on the swarm. The verbs that change a service are elsewhere, since
their many flags cost start-up time.
"""

from collections.abc import Iterable

import click

from api.new_ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, specs_pb2
from swarmctl.cli import ports
from swarmctl.cli.client import Client
from swarmctl.cli.commands.task import Shown, list_tasks, task_list_options
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import document, enum_word
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import (
    filter_option,
    format_option,
    inspect_format,
    pairs,
    parse_filters,
    pretty_option,
    quiet_option,
)
from swarmctl.cli.render import (
    Listing,
    check_inspect,
    image_of,
    inspect,
    natural,
    pretty,
    short_image,
)
from swarmctl.cli.units import binary_size, rfc3339

SHORT_ID = 12
_CHANGES = "swarmctl.cli.commands.service_changes"
_FILTERS = ("id", "label", "mode", "name")
_TASK_FILTERS = ("desired-state", "id", "name", "node")
_LISTING = Listing(
    columns=(
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Mode", "MODE"),
        ("Replicas", "REPLICAS"),
        ("Image", "IMAGE"),
        ("Ports", "PORTS"),
    ),
    quiet="ID",
)


@click.group(
    cls=Noun,
    lazy={
        "create": (f"{_CHANGES}:create", "Create a service of containers made from IMAGE."),
        "exec": (
            "swarmctl.cli.commands.exec:service_exec",
            "Run a command in a running task of a service.",
        ),
        "logs": (
            "swarmctl.cli.commands.service_logs:logs",
            "Show what the tasks of a service, or one task, wrote.",
        ),
        "scale": (f"{_CHANGES}:scale", "Change how many tasks services have."),
        "update": (f"{_CHANGES}:update", "Change a service."),
    },
)
def service() -> None:
    """Manage services."""


@service.command("ls")
@filter_option
@format_option
@quiet_option
@click.pass_obj
def ls(client: Client, filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List services."""
    _LISTING.check(form)
    asked = parse_filters(filters, _FILTERS)
    request = control_pb2.ListServicesRequest(
        ids=asked.get("id", []),
        names=asked.get("name", []),
        modes=asked.get("mode", []),
        labels=pairs(asked.get("label", []), "--filter label"),
    )
    found = client.call(client.control.ListServices, request, "listing services")
    ordered = sorted(found.services, key=lambda s: natural(s.spec.annotations.name))
    rows = [_row(each, found.counts[each.id]) for each in ordered]
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


@service.command("ps")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@task_list_options(_TASK_FILTERS)
@click.pass_obj
def ps(client: Client, names: tuple[str, ...], shown: Shown) -> None:
    """List the tasks of services, with their history."""
    found, complete = for_each(names, lambda name: get(client, name).id)
    if found:
        list_tasks(client, control_pb2.ListTasksRequest(service_keys=found), shown)
    end(complete)


@service.command("inspect")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@inspect_format
@pretty_option
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str, as_text: bool) -> None:
    """Show services in full."""
    check_inspect(form, document(objects_pb2.Service()), pretty=as_text)
    found, complete = for_each(names, lambda name: get(client, name))
    if as_text:
        click.echo("\n".join(_pretty(each) for each in found), nl=False)
    else:
        click.echo(inspect([document(each) for each in found], form), nl=False)
    end(complete)


@service.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@click.pass_obj
def rm(client: Client, names: tuple[str, ...]) -> None:
    """Remove services; their tasks are stopped."""

    def remove(name: str) -> None:
        request = control_pb2.RemoveRequest(key=name, request_id=new_id())
        client.call(client.control.RemoveService, request, f"removing service {name}")
        click.echo(name)

    _, complete = for_each(names, remove)
    end(complete)


def get(client: Client, name: str) -> objects_pb2.Service:
    """The service of that name, id or prefix of an id."""
    request = control_pb2.GetRequest(key=name)
    return client.call(client.control.GetService, request, f"looking up service {name}")


def mode_of(each: objects_pb2.Service) -> str:
    """The mode's word, as --mode takes it."""
    return (each.spec.WhichOneof("mode") or "").replace("_", "-")


def _row(each: objects_pb2.Service, counts: control_pb2.ServiceCounts) -> dict[str, str]:
    return {
        "ID": each.id[:SHORT_ID],
        "Name": each.spec.annotations.name,
        "Mode": mode_of(each).replace("-", " "),
        "Replicas": _replicas(each, counts),
        "Image": short_image(image_of(each.spec.task.container)),
        "Ports": ports.published(each.spec.endpoint.ports),
    }


def _replicas(each: objects_pb2.Service, counts: control_pb2.ServiceCounts) -> str:
    text = f"{counts.running}/{counts.desired}"
    mode = mode_of(each)
    if mode.endswith("-job"):
        total = each.spec.replicated_job.total_completions or counts.desired
        return f"{text} ({counts.completed}/{total} completed)"
    limit = each.spec.task.placement.max_replicas_per_node
    return f"{text} (max {limit} per node)" if limit and mode == "replicated" else text


def _pretty(each: objects_pb2.Service) -> str:
    spec, container, resources = each.spec, each.spec.task.container, each.spec.task.resources
    rows = [
        ("ID", each.id),
        ("Name", spec.annotations.name),
        ("Service Mode", mode_of(each).capitalize()),
        (" Replicas", str(spec.replicated.replicas) if mode_of(each) == "replicated" else ""),
        ("Created", rfc3339(seconds_of(each.meta.created_at))),
        ("Update Status", _update_word(each)),
        ("Image", image_of(container)),
        ("Command", " ".join(container.command)),
        ("Args", " ".join(container.args)),
        ("Env", " ".join(container.env)),
        ("User", container.user),
        ("Limit CPUs", f"{resources.limits.nano_cpus / 1e9:g}"),
        ("Limit Memory", binary_size(resources.limits.memory_bytes)),
        ("Reserve CPUs", f"{resources.reservations.nano_cpus / 1e9:g}"),
        ("Reserve Memory", binary_size(resources.reservations.memory_bytes)),
        ("Networks", " ".join(each.target for each in spec.task.networks) or "none"),
        ("Ports", ports.published(spec.endpoint.ports)),
        ("Secrets", _files(container.secrets)),
        ("Configs", _files(container.configs)),
        *((f"Label {key}", value) for key, value in sorted(spec.annotations.labels.items())),
    ]
    shown = [
        (label, value)
        for label, value in rows
        if label == " Replicas" or value not in ("", "0", "0B")
    ]
    return pretty([row for row in shown if row != (" Replicas", "")])


def _files(references: Iterable[specs_pb2.FileReference]) -> str:
    return " ".join(
        each.source if each.target in ("", each.source) else f"{each.source}:{each.target}"
        for each in references
    )


def _update_word(each: objects_pb2.Service) -> str:
    status = each.update_status
    if not status.state:
        return ""
    word = enum_word(status.DESCRIPTOR.fields_by_name["state"], status.state)
    return f"{word}: {status.message}" if status.message else word
