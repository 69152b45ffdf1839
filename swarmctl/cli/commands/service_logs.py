"""`swarmctl service logs`: what the tasks of a service wrote, from every node at once."""

import os
import sys
from collections.abc import Callable

import click

from api.errors import Code, SwarmError
from api.states import task_name
from api.times import at_nanos
from api.v1 import control_pb2, logs_pb2, objects_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.grammar import Verb
from swarmctl.cli.log_lines import Joiner, Line, padded
from swarmctl.cli.options import MAX_COUNT, MOMENT, Parsed

SHORT_ID = 12
ALL = -1
_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")


def _tail(text: str) -> int:
    if text == "all":
        return ALL
    if not text.isdecimal() or int(text) > MAX_COUNT:
        raise ValueError(f"{text!r} is no number of lines; write a number or all")
    return int(text)


@click.command("logs", cls=Verb)
@click.argument("name", metavar="SERVICE|TASK", shell_complete=completes("service"))
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on")
@click.option("-n", "--tail", type=Parsed("lines", _tail), default="all", help="Lines per task")
@click.option("--since", type=MOMENT, default=0, help="As 10m or RFC 3339")
@click.option("--until", type=MOMENT, default=0, help="As 10m or RFC 3339")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written")
@click.option("--raw", is_flag=True, help="Only the lines themselves")
@click.option("--no-task-ids", is_flag=True, help="Leave the task's id out")
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@click.option("--no-trunc", is_flag=True, help="Do not cut ids")
@click.option("--details", is_flag=True, help="Show the labels of the service")
@click.pass_obj
def logs(
    client: Client,
    name: str,
    follow: bool,
    tail: int,
    since: int,
    until: int,
    timestamps: bool,
    raw: bool,
    no_task_ids: bool,
    no_resolve: bool,
    no_trunc: bool,
    details: bool,
) -> None:
    """Show what the tasks of a service, or one task, wrote."""
    options = logs_pb2.LogOptions(follow=follow, tail=tail)
    if since:
        options.since.CopyFrom(at_nanos(since))
    if until:
        options.until.CopyFrom(at_nanos(until))
    prefix: Callable[[logs_pb2.LogMessage], str] = lambda _: ""  # noqa: E731
    if not raw:
        prefix = _Prefixes(
            client,
            resolve=not no_resolve,
            task_ids=not no_task_ids,
            full=no_trunc,
            details=details,
        )
    joiner = Joiner(prefix, timestamps)
    request = logs_pb2.SubscribeLogsRequest(selector=_selector(client, name), options=options)
    colours: dict[str, str] = {}
    for batch in client.stream(client.logs.Subscribe, request, f"reading the logs of {name}"):
        for warning in batch.warnings:
            click.echo(f"swarmctl: {warning}", err=True)
        for message in batch.messages:
            line = joiner.take(message)
            if line is not None:
                _print(line, colours)
    for line in joiner.rest():
        _print(line, colours)


def _print(line: Line, colours: dict[str, str]) -> None:
    stream = sys.stderr if line.is_error else sys.stdout
    prefix = line.prefix
    if prefix and stream.isatty() and not os.environ.get("NO_COLOR"):
        colour = colours.setdefault(line.task_id, _COLOURS[len(colours) % len(_COLOURS)])
        prefix = click.style(prefix, fg=colour)
    # Bytes, since click would take escape sequences out of a text that goes to a file.
    click.echo(prefix.encode() + line.data, file=stream)


def _selector(client: Client, name: str) -> logs_pb2.LogSelector:
    key = control_pb2.GetRequest(key=name)
    try:
        found = client.call(client.control.GetService, key, f"looking up service {name}")
        return logs_pb2.LogSelector(service_ids=[found.id])
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
    try:
        task = client.call(client.control.GetTask, key, f"looking up task {name}")
    except SwarmError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise SwarmError(
            Code.NOT_FOUND,
            f"there is no service or task {name!r}",
            remedy="see: swarmctl service ls",
        ) from error
    return logs_pb2.LogSelector(task_ids=[task.id])


class _Prefixes:
    """Names of tasks and hosts, looked up once each."""

    def __init__(
        self, client: Client, *, resolve: bool, task_ids: bool, full: bool, details: bool
    ) -> None:
        self._client = client
        self._resolve = resolve
        self._task_ids = task_ids
        self._full = full
        self._details = details
        self._names: dict[str, str] = {}
        self._widths: dict[str, int] = {}

    def __call__(self, message: logs_pb2.LogMessage) -> str:
        """The prefix of one message."""
        if message.task_id not in self._names:
            self._names[message.task_id] = self._name(message)
        return padded(self._names[message.task_id], self._widths)

    def _name(self, message: logs_pb2.LogMessage) -> str:
        short_id = message.task_id if self._full else message.task_id[:SHORT_ID]
        task = self._task(message.task_id)
        if task is None:
            return f"{short_id}@{self._host(message.node_id)}"
        if not self._resolve:
            task.service_name = task.service_id
        name = f"{task_name(task)}.{short_id}" if self._task_ids else task_name(task)
        labels = ",".join(f"{k}={v}" for k, v in sorted(task.service_labels.items()))
        details = f"{labels} " if self._details and labels else ""
        return f"{details}{name}@{self._host(message.node_id)}"

    def _task(self, task_id: str) -> objects_pb2.Task | None:
        try:
            return self._client.call(
                self._client.control.GetTask,
                control_pb2.GetRequest(key=task_id),
                f"looking up task {task_id}",
            )
        except SwarmError as error:
            # Reaped since its line was read: its id has to do.
            if error.code is Code.NOT_FOUND:
                return None
            raise

    def _host(self, node_id: str) -> str:
        if not self._resolve:
            return node_id
        try:
            node = self._client.call(
                self._client.control.GetNode,
                control_pb2.GetRequest(key=node_id),
                f"looking up node {node_id}",
            )
        except SwarmError as error:
            if error.code is Code.NOT_FOUND:
                return node_id
            raise
        return node.description.hostname or node_id
