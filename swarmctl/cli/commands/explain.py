"""`swarmctl task explain` and `swarmctl service explain`: the question why, answered."""

import time

import click

from api.v1 import explain_pb2
from swarmctl.cli import explanations
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import document
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import inspect_format
from swarmctl.cli.render import check_inspect, inspect


@click.command("explain", cls=Verb)
@click.argument("names", nargs=-1, required=True, metavar="TASK...")
@click.option("--all", "every", is_flag=True, help="Show all nodes, not only the 20 nearest")
@inspect_format
@click.pass_obj
def task_explain(client: Client, names: tuple[str, ...], every: bool, form: str) -> None:
    """Tell why tasks are where they are, or what they wait for.

    TASK is an id, or the newest task of a slot: SERVICE.SLOT, or SERVICE.NODE of a global service.

    Of a task that waits for a node: what each node lacks, and the smallest changes by which it
    would be placed. Of one that was placed: how the nodes stood in the ranking then.
    """
    check_inspect(form, document(explain_pb2.TaskExplanation()))

    def ask(name: str) -> explain_pb2.TaskExplanation:
        request = explain_pb2.ExplainTaskRequest(
            key=name, nodes=explanations.MAX_NODES if every else 0
        )
        return client.call(client.control.ExplainTask, request, f"explaining task {name}")

    found, complete = for_each(names, ask)
    if form:
        click.echo(inspect([document(each) for each in found], form), nl=False)
    else:
        now = time.time()  # noqa: TID251 - a program's shell
        click.echo("\n".join(explanations.of_task(each, now) for each in found), nl=False)
    end(complete)


@click.command("explain", cls=Verb)
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@inspect_format
@click.pass_obj
def service_explain(client: Client, names: tuple[str, ...], form: str) -> None:
    """Tell how services come along, and what they wait for.

    Tasks of which the same is to be said are shown in one line.
    """
    check_inspect(form, document(explain_pb2.ServiceExplanation()))

    def ask(name: str) -> explain_pb2.ServiceExplanation:
        request = explain_pb2.ExplainServiceRequest(key=name)
        return client.call(client.control.ExplainService, request, f"explaining service {name}")

    found, complete = for_each(names, ask)
    if form:
        click.echo(inspect([document(each) for each in found], form), nl=False)
    else:
        click.echo("\n".join(map(explanations.of_service, found)), nl=False)
    end(complete)
