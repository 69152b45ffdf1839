"""`swarmctl swarm inspect`: the settings of the swarm. Tokens and keys are never in it."""

import click

from api.v1 import control_pb2, objects_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.documents import document
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import inspect_format
from swarmctl.cli.render import check_inspect, inspect


@click.command("inspect", cls=Verb)
@inspect_format
@click.pass_obj
def inspect_(client: Client, form: str) -> None:
    """Show the settings of the swarm; what is not set has its default."""
    check_inspect(form, document(objects_pb2.Cluster()))
    found = client.call(
        client.control.GetCluster, control_pb2.GetClusterRequest(), "looking up the swarm"
    )
    shown = objects_pb2.Cluster(id=found.id, meta=found.meta, spec=found.spec)
    # There is one swarm: one object, and not an array of one.
    click.echo(inspect([document(shown)], "{{json .}}" if form in ("", "json") else form), nl=False)
