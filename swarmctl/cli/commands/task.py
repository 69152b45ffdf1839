"""`swarmctl task`, and the table of tasks that `service ps` and `node ps` share."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from api.errors import Code, SwarmError
from api.published import ports_of
from api.states import health_name, is_terminal, state_name, task_name
from api.times import seconds_of
from api.v1 import control_pb2, host_pb2, objects_pb2, types_pb2
from swarmctl.cli import lists, ports
from swarmctl.cli.client import Client
from swarmctl.cli.filters import Asked, filter_option, label, narrow, read_filters, text, words
from swarmctl.cli.grammar import Noun
from swarmctl.cli.inspecting import inspect_each
from swarmctl.cli.options import (
    format_option,
    inspect_format,
    no_trunc_option,
    quiet_option,
)
from swarmctl.cli.render import (
    Listing,
    Row,
    image_of,
    natural,
    short_image,
    shortened,
)
from swarmctl.cli.rollouts import restart_note
from swarmctl.cli.units import ago

SHORT_ID = 12
SHORT_TEXT = 60
"""Characters of an error; Docker's 30 cut off just why a task waits."""
_DESIRED = {
    "running": (types_pb2.TASK_STATE_READY, types_pb2.TASK_STATE_RUNNING),
    "shutdown": (types_pb2.TASK_STATE_SHUTDOWN, types_pb2.TASK_STATE_REMOVE),
    "accepted": (types_pb2.TASK_STATE_ACCEPTED,),
    "ready": (types_pb2.TASK_STATE_READY,),
    "complete": (types_pb2.TASK_STATE_COMPLETE,),
}
_FILTERS = {
    "desired-state": words("desired_states", _DESIRED),
    "id": text("ids"),
    "label": label("labels"),
    "name": text("names"),
    "node": text("node_keys"),
    "service": text("service_keys"),
}
_SELF = "self"
"""What people call the node of the daemon that they speak to."""
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
    more=(("Health", "HEALTH"),),
)


@click.group(
    cls=Noun,
    lazy={
        "exec": ("swarmctl.cli.commands.exec:task_exec", "Run a command in a running task."),
        "explain": (
            "swarmctl.cli.commands.explain:task_explain",
            "Tell why tasks are where they are, or what they wait for.",
        ),
    },
)
def task() -> None:
    """Look at single tasks, and into them."""


@dataclass(frozen=True)
class Shown:
    """Which tasks a command is to show, and how: the options that all such commands have."""

    asked: Asked
    form: str
    full: bool
    quiet: bool
    resolve: bool


def task_list_options(filters: Iterable[str]) -> Callable[[Callable[..., None]], Any]:
    """Adds the options of a command that lists tasks; it gets them, checked, as `shown`.

    `filters`: those keys of a list of tasks that the command has.
    """

    known = {name: _FILTERS[name] for name in filters}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def checked(
            *args: Any,  # noqa: ANN401 - whatever the command has beside
            filters: tuple[str, ...],
            form: str,
            no_trunc: bool,
            quiet: bool,
            no_resolve: bool,
            **others: Any,  # noqa: ANN401
        ) -> None:
            TASKS.check(form)
            asked = read_filters(filters, known)
            shown = Shown(asked, form, full=no_trunc, quiet=quiet, resolve=not no_resolve)
            command(*args, shown=shown, **others)

        no_resolve = click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
        with_options: Callable[..., None] = checked
        for option in (
            no_resolve,
            quiet_option,
            no_trunc_option,
            format_option,
            filter_option(known),
        ):
            with_options = option(with_options)
        return with_options

    return decorate


@task.command("ls")
@task_list_options(_FILTERS)
@click.pass_obj
def ls(client: Client, shown: Shown) -> None:
    """List all tasks of the swarm."""
    list_tasks(client, control_pb2.ListTasksRequest(), shown)


@task.command("inspect")
@click.argument("names", nargs=-1, required=True)
@inspect_format
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str) -> None:
    """Show tasks in full."""

    def get(name: str) -> objects_pb2.Task:
        request = control_pb2.GetRequest(key=name)
        return client.call(client.control.GetTask, request, f"looking up task {name}")

    inspect_each(names, get, form, blank=objects_pb2.Task())


def list_tasks(client: Client, request: control_pb2.ListTasksRequest, shown: Shown) -> None:
    """Asks for tasks and prints their table."""
    narrow(request, shown.asked)
    if _SELF in request.node_keys:
        own = own_node(client)
        request.node_keys[:] = [own if name == _SELF else name for name in request.node_keys]
    found = lists.tasks(client, request)
    hosts = lists.hostnames(client) if shown.resolve and not shown.quiet else {}
    if not shown.resolve:
        for each in found:
            each.service_name = each.service_id
    now = time.time()  # noqa: TID251 - a program's shell
    # Ids that are asked for alone are whole, as Docker's; in a template names are names.
    full, indented = shown.full or shown.quiet, shown.form.startswith("table")
    rows = task_rows(found, hosts, now, full=full, indented=indented)
    click.echo(TASKS.render(rows, shown.form, quiet=shown.quiet), nl=False)


def own_node(client: Client) -> str:
    """The id of the node on the daemon's host."""
    swarm = client.call(client.host.Info, host_pb2.InfoRequest(), "asking this host").swarm
    if not swarm.node_id:
        raise SwarmError(
            Code.REFUSED,
            "this node is not part of a swarm",
            remedy="run swarmctl swarm init, or swarmctl swarm join with a token",
        )
    return swarm.node_id


def task_rows(
    tasks: Iterable[objects_pb2.Task],
    hosts: dict[str, str],
    now: float,
    *,
    full: bool,
    indented: bool,
) -> list[Row]:
    """Rows of the table of tasks: by service and slot, newest first; `indented`: history is."""
    ordered = sorted(tasks, key=lambda t: -seconds_of(t.meta.created_at))
    ordered.sort(key=lambda t: (natural(t.service_name), t.slot, "" if t.slot else t.node_id))
    rows: list[Row] = []
    previous = ""
    for each in ordered:
        name = task_name(each)
        shown = f" \\_ {name}" if indented and name == previous else name
        rows.append(_row(each, shown, hosts, now, full))
        previous = name
    return rows


def _row(each: objects_pb2.Task, name: str, hosts: dict[str, str], now: float, full: bool) -> Row:
    error = shortened(each.status.error or restart_note(each, now), SHORT_TEXT, full=full)
    image = image_of(each.spec.container)
    since = ago(now - seconds_of(each.status.at or each.meta.updated_at))
    health = "" if is_terminal(each) else health_name(each.status.container.health)
    remark = health and f" ({'health: ' if health == 'starting' else ''}{health})"  # as docker ps
    return {
        "ID": each.id if full else each.id[:SHORT_ID],
        "Name": name,
        "Image": image if full else short_image(image),
        "Node": hosts.get(each.node_id, each.node_id),
        "DesiredState": state_name(each.desired_state),
        "CurrentState": f"{state_name(each.status.state)} {since[:1].lower()}{since[1:]}{remark}",
        "Health": health,
        "Error": f'"{error}"' if error else "",
        "Ports": "" if is_terminal(each) else ports.held(ports_of(each)),
    }
