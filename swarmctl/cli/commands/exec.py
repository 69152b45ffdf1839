"""`swarmctl task exec` and `swarmctl service exec`: a command in a running task on any node."""

import os
from collections.abc import Callable
from typing import Any

import click

from api.errors import Code, SwarmError, invalid
from api.states import RUNNING, task_name
from api.v1 import control_pb2, exec_pb2, objects_pb2
from swarmctl.cli import lists
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.exec_session import run_command, window_size
from swarmctl.cli.grammar import Verb

SHORT_ID = 12
_STDIN = 0


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds what both commands have; they get it as `start`, short of the task."""

    def with_start(
        *args: Any,  # noqa: ANN401 - whatever the command has beside
        interactive: bool,
        tty: bool,
        user: str,
        workdir: str,
        env: tuple[str, ...],
        words: tuple[str, ...],
        **others: Any,  # noqa: ANN401
    ) -> None:
        start = exec_pb2.ExecStart(
            command=words[1:] if words[0] == "--" else words,
            stdin=interactive,
            tty=tty,
            user=user,
            dir=workdir,
            env=map(_variable, env),
        )
        _check(start)
        command(*args, start=start, **others)

    with_start.__doc__ = command.__doc__
    decorated: Callable[..., None] = with_start
    for option in (
        click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set a variable"),
        click.option("-w", "--workdir", default="", help="Directory inside the container"),
        click.option("-u", "--user", default="", help="USER[:GROUP], else the container's"),
        click.option("-t", "--tty", is_flag=True, help="Give it a terminal"),
        click.option("-i", "--interactive", is_flag=True, help="Pass standard input on"),
    ):
        decorated = option(decorated)
    return click.argument("words", nargs=-1, required=True, metavar="COMMAND [ARG]...")(decorated)


@click.command("exec", cls=Verb, context_settings={"allow_interspersed_args": False})
@click.argument("name", metavar="TASK")
@_options
@click.pass_obj
def task_exec(client: Client, name: str, start: exec_pb2.ExecStart) -> None:
    """Run a command in a running task. Ends with the command's exit code."""
    key = control_pb2.GetRequest(key=name)
    task = client.call(client.control.GetTask, key, f"looking up task {name}")
    _run(client, task, start)


@click.command("exec", cls=Verb, context_settings={"allow_interspersed_args": False})
@click.argument("name", metavar="SERVICE[.SLOT]", shell_complete=completes("service"))
@_options
@click.pass_obj
def service_exec(client: Client, name: str, start: exec_pb2.ExecStart) -> None:
    """Run a command in a running task of a service, of the lowest slot if none is named.

    Ends with the command's exit code.
    """
    service, _, slot = name.partition(".")
    request = control_pb2.ListTasksRequest(service_keys=[service])
    running = sorted(filter(_runs, lists.tasks(client, request)), key=_order)
    chosen = [task for task in running if slot in ("", str(task.slot or ""), task.node_id)]
    if not chosen:
        raise SwarmError(
            Code.NOT_FOUND,
            f"no task of {name} runs",
            remedy=f"see: swarmctl service ps {service}",
        )
    if len(chosen) > 1:
        said = f"{task_name(chosen[0])} ({chosen[0].id[:SHORT_ID]}), one of {len(chosen)} tasks"
        click.echo(f"swarmctl: in {said}", err=True)
    _run(client, chosen[0], start)


def _run(client: Client, task: objects_pb2.Task, start: exec_pb2.ExecStart) -> None:
    start.task_id = task.id
    code = run_command(client, start, f"running a command in {task_name(task)}")
    raise click.exceptions.Exit(code)


def _check(start: exec_pb2.ExecStart) -> None:
    if not start.command:
        raise click.UsageError("a command is needed")
    if start.tty and start.stdin and not os.isatty(_STDIN):
        raise invalid("tty", "the input is not a terminal", remedy="leave out -t")
    if start.tty and (size := window_size()) is not None:
        start.size.CopyFrom(size)


def _variable(text: str) -> str:
    """As Docker has it: a name alone takes the value from here, and without one is taken away."""
    name, equals, _ = text.partition("=")
    if not name:
        raise invalid("env", f"{text!r} has no name", remedy="write NAME=VALUE")
    return text if equals or name not in os.environ else f"{name}={os.environ[name]}"


def _runs(task: objects_pb2.Task) -> bool:
    return task.status.state == RUNNING and task.desired_state == RUNNING


def _order(task: objects_pb2.Task) -> tuple[int, str]:
    return task.slot, task.node_id
