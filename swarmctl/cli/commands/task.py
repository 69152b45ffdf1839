"""`swarmctl task`, and the table of tasks that `service ps` and `node ps` share."""

import time
from collections.abc import Iterable

import click

from api.states import state_name, task_name
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, types_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.documents import document
from swarmctl.cli.options import (
    filter_option,
    format_option,
    inspect_format,
    no_trunc_option,
    parse_filters,
    quiet_option,
)
from swarmctl.cli.render import Listing, Row, inspect, shortened
from swarmctl.cli.units import ago

SHORT_ID = 12
SHORT_TEXT = 60
_FILTERS = ("desired-state", "id", "label", "name", "node", "service")
_DESIRED = {
    "running": (types_pb2.TASK_STATE_READY, types_pb2.TASK_STATE_RUNNING),
    "shutdown": (types_pb2.TASK_STATE_SHUTDOWN, types_pb2.TASK_STATE_REMOVE),
    "accepted": (types_pb2.TASK_STATE_ACCEPTED,),
    "ready": (types_pb2.TASK_STATE_READY,),
    "complete": (types_pb2.TASK_STATE_COMPLETE,),
}
TASKS = Listing(
    columns=(
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Image", "IMAGE"),
        ("Node", "NODE"),
        ("DesiredState", "DESIRED STATE"),
        ("CurrentState", "CURRENT STATE"),
        ("Error", "ERROR"),
        ("Ports", "PORTS"),
    ),
    quiet="ID",
)


@click.group()
def task() -> None:
    """Look at single tasks."""


@task.command("ls")
@filter_option
@format_option
@no_trunc_option
@quiet_option
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@click.pass_obj
def ls(
    client: Client,
    filters: tuple[str, ...],
    form: str,
    no_trunc: bool,
    quiet: bool,
    no_resolve: bool,
) -> None:
    """List all tasks of the swarm."""
    TASKS.check(form)
    list_tasks(
        client,
        control_pb2.ListTasksRequest(),
        filters,
        form,
        no_trunc=no_trunc,
        quiet=quiet,
        resolve=not no_resolve,
    )


@task.command("inspect")
@click.argument("names", nargs=-1, required=True)
@inspect_format
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str) -> None:
    """Show tasks in full."""
    found = [
        client.call(
            client.control.GetTask, control_pb2.GetRequest(key=name), f"looking up task {name}"
        )
        for name in names
    ]
    click.echo(inspect([document(each) for each in found], form), nl=False)


def list_tasks(
    client: Client,
    request: control_pb2.ListTasksRequest,
    filters: Iterable[str],
    form: str,
    *,
    no_trunc: bool,
    quiet: bool,
    resolve: bool,
) -> None:
    """Asks for tasks and prints their table; `filters` are those of the command line."""
    asked = parse_filters(filters, _FILTERS)
    request.ids.extend(asked.get("id", []))
    request.names.extend(asked.get("name", []))
    request.node_keys.extend(asked.get("node", []))
    request.service_keys.extend(asked.get("service", []))
    for text in asked.get("label", []):
        key, _, value = text.partition("=")
        request.labels[key] = value
    for word in asked.get("desired-state", []):
        if word not in _DESIRED:
            raise click.BadParameter(
                f"{word!r}: use one of {', '.join(_DESIRED)}", param_hint="--filter desired-state"
            )
        request.desired_states.extend(_DESIRED[word])
    found = client.call(client.control.ListTasks, request, "listing tasks").tasks
    hosts = _hostnames(client) if resolve and not quiet else {}
    rows = task_rows(found, hosts, time.time(), full=no_trunc)  # noqa: TID251 - a program's shell
    click.echo(TASKS.render(rows, form, quiet=quiet), nl=False)


def task_rows(
    tasks: Iterable[objects_pb2.Task], hosts: dict[str, str], now: float, *, full: bool = False
) -> list[Row]:
    """Rows of the table of tasks: by service and slot, newest first, history indented."""
    ordered = sorted(tasks, key=lambda t: -seconds_of(t.meta.created_at))
    ordered.sort(key=lambda t: (t.service_name, t.slot, t.node_id if not t.slot else ""))
    rows: list[Row] = []
    previous = ""
    for each in ordered:
        name = task_name(each)
        rows.append(_row(each, f" \\_ {name}" if name == previous else name, hosts, now, full))
        previous = name
    return rows


def _row(each: objects_pb2.Task, name: str, hosts: dict[str, str], now: float, full: bool) -> Row:
    since = ago(now - seconds_of(each.status.at or each.meta.updated_at))
    return {
        "ID": each.id if full else each.id[:SHORT_ID],
        "Name": name,
        "Image": each.spec.container.image,
        "Node": hosts.get(each.node_id, each.node_id),
        "DesiredState": state_name(each.desired_state),
        "CurrentState": f"{state_name(each.status.state)} {since[:1].lower()}{since[1:]}",
        "Error": shortened(each.status.error, SHORT_TEXT, full=full),
        "Ports": "",
    }


def _hostnames(client: Client) -> dict[str, str]:
    nodes = client.call(
        client.control.ListNodes, control_pb2.ListNodesRequest(), "listing nodes"
    ).nodes
    return {each.id: each.description.hostname or each.id for each in nodes}
