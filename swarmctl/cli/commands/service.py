"""`swarmctl service`: what runs on the swarm. The verbs that change a service are elsewhere, since
their many flags cost start-up time.
"""

from collections.abc import Iterable

import click

from api.modes import is_job, mode_name
from api.new_ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, specs_pb2
from swarmctl.cli import lists, ports, rollouts
from swarmctl.cli.client import Client
from swarmctl.cli.commands.task import Shown, list_tasks, task_list_options
from swarmctl.cli.completion import completes
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.filters import filter_option, label, narrow, read_filters, text, words
from swarmctl.cli.grammar import Noun
from swarmctl.cli.inspecting import inspect_each
from swarmctl.cli.options import (
    format_option,
    inspect_format,
    pretty_option,
    quiet_option,
)
from swarmctl.cli.render import (
    Listing,
    image_of,
    natural,
    pretty,
    short_image,
)
from swarmctl.cli.units import binary_size, rfc3339

SHORT_ID = 12
_ENDPOINT_MODES = {
    specs_pb2.EndpointSpec.MODE_VIP: "vip",
    specs_pb2.EndpointSpec.MODE_DNSRR: "dnsrr",
}
_TITLES = ("UpdateStatus", "UpdateConfig", "RollbackConfig")
_CHANGES = "swarmctl.cli.commands.service_changes"
MODES = ("replicated", "global", "replicated-job", "global-job")
_FILTERS = {
    "id": text("ids"),
    "label": label("labels"),
    "mode": words("modes", {word: (word,) for word in MODES}),
    "name": text("names"),
}
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
    more=(("UpdateState", "UPDATE STATE"),),
)


@click.group(
    cls=Noun,
    lazy={
        "create": (f"{_CHANGES}:create", "Create a service of containers made from IMAGE."),
        "exec": (
            "swarmctl.cli.commands.exec:service_exec",
            "Run a command in a running task of a service.",
        ),
        "explain": (
            "swarmctl.cli.commands.explain:service_explain",
            "Tell how services come along, and what they wait for.",
        ),
        "logs": (
            "swarmctl.cli.commands.service_logs:logs",
            "Show what the tasks of a service, or one task, wrote.",
        ),
        "rollback": (f"{_CHANGES}:rollback", "Go back to the previous spec of a service."),
        "scale": (f"{_CHANGES}:scale", "Change how many tasks services have."),
        "update": (f"{_CHANGES}:update", "Change a service."),
    },
)
def service() -> None:
    """Manage services."""


@service.command("ls")
@filter_option(_FILTERS)
@format_option
@quiet_option
@click.pass_obj
def ls(client: Client, filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List services."""
    _LISTING.check(form)
    request = control_pb2.ListServicesRequest()
    narrow(request, read_filters(filters, _FILTERS))
    found = lists.services(client, request)
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
    text_of = _pretty if as_text else None
    inspect_each(
        names, lambda name: get(client, name), form, blank=objects_pb2.Service(), as_text=text_of
    )


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


def _row(each: objects_pb2.Service, counts: control_pb2.ServiceCounts) -> dict[str, str]:
    return {
        "ID": each.id[:SHORT_ID],
        "Name": each.spec.annotations.name,
        "Mode": mode_name(each).replace("-", " "),
        "Replicas": _replicas(each, counts),
        "Image": short_image(image_of(each.spec.task.container)),
        "Ports": ports.published(_ports(each)),
        "UpdateState": rollouts.word_of(each.update_status),
    }


def _replicas(each: objects_pb2.Service, counts: control_pb2.ServiceCounts) -> str:
    text = f"{counts.running}/{counts.desired}"
    if is_job(each):
        total = counts.desired + counts.completed
        if each.spec.HasField("replicated_job"):
            total = each.spec.replicated_job.total_completions
        return f"{text} ({counts.completed}/{total} completed)"
    limit = each.spec.task.placement.max_replicas_per_node
    return f"{text} (max {limit} per node)" if limit else text


def _ports(each: objects_pb2.Service) -> Iterable[specs_pb2.PortConfig]:
    """As they are published; what is still to be chosen as it was asked for."""
    return each.endpoint.ports or each.spec.endpoint.ports


def _endpoint_mode(spec: specs_pb2.ServiceSpec) -> str:
    """Of a service that somebody can reach."""
    reached = spec.task.networks or spec.endpoint.ports
    return _ENDPOINT_MODES[spec.endpoint.mode] if reached else ""


def _some(amount: str) -> str:
    return "" if amount in ("0", "0B") else amount


def _pretty(each: objects_pb2.Service) -> str:
    spec, container, resources = each.spec, each.spec.task.container, each.spec.task.resources
    rows = [
        ("ID", each.id),
        ("Name", spec.annotations.name),
        ("Service Mode", mode_name(each).replace("-", " ").title()),
        *_mode_rows(each),
        ("Created", rfc3339(seconds_of(each.meta.created_at))),
        *rollouts.status_rows(each.update_status),
        *([] if is_job(each) else rollouts.config_rows("Update", spec.update)),
        *([] if is_job(each) else rollouts.config_rows("Rollback", spec.rollback)),
        ("Image", image_of(container)),
        ("Command", " ".join(container.command)),
        ("Args", " ".join(container.args)),
        ("Env", " ".join(container.env)),
        ("User", container.user),
        ("Limit CPUs", _some(f"{resources.limits.nano_cpus / 1e9:g}")),
        ("Limit Memory", _some(binary_size(resources.limits.memory_bytes))),
        ("Reserve CPUs", _some(f"{resources.reservations.nano_cpus / 1e9:g}")),
        ("Reserve Memory", _some(binary_size(resources.reservations.memory_bytes))),
        *_placement(spec.task),
        ("Networks", " ".join(each.target for each in spec.task.networks) or "none"),
        ("Endpoint Mode", _endpoint_mode(spec)),
        ("Sticky", "source-ip" if spec.endpoint.sticky else ""),
        ("Ports", ports.published(_ports(each))),
        ("Secrets", _files(container.secrets)),
        ("Configs", _files(container.configs)),
        *((f"Label {key}", value) for key, value in sorted(spec.annotations.labels.items())),
    ]
    return pretty([(label, value) for label, value in rows if value or label in _TITLES])


def _placement(task: specs_pb2.TaskSpec) -> list[tuple[str, str]]:
    generic = task.resources.reservations.generic
    return [
        ("Reserve Generic", ", ".join(f"{each.kind}={each.count}" for each in generic)),
        ("Constraints", ", ".join(task.placement.constraints)),
        ("Preferences", ", ".join(f"spread={each}" for each in task.placement.spread)),
        ("Max Replicas Per Node", _some(str(task.placement.max_replicas_per_node))),
    ]


def _mode_rows(each: objects_pb2.Service) -> list[tuple[str, str]]:
    spec, job = each.spec, each.spec.replicated_job
    rows: list[tuple[str, str]] = []
    if spec.HasField("replicated"):
        rows.append((" Replicas", str(spec.replicated.replicas)))
    if spec.HasField("replicated_job"):
        rows.append((" Max Concurrent", str(job.max_concurrent or job.total_completions)))
        rows.append((" Total Completions", str(job.total_completions)))
    if is_job(each):
        rows.append((" Iteration", str(each.job_status.iteration)))
        rows.append((" Last Execution", rfc3339(seconds_of(each.job_status.last_execution))))
    return rows


def _files(references: Iterable[specs_pb2.FileReference]) -> str:
    return " ".join(
        each.source if each.target in ("", each.source) else f"{each.source}:{each.target}"
        for each in references
    )
