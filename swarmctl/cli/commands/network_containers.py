"""`swarmctl network connect`, `disconnect`: containers of this host, no tasks, come and go."""

import click

from api.v1 import containers_pb2, specs_pb2
from swarmctl.cli.client import Client
from swarmctl.cli.completion import completes
from swarmctl.cli.grammar import Verb

_CONNECTS = 45.0
"""Seconds in which managers find a place in a network, and a host builds it."""


@click.command("connect", cls=Verb)
@click.argument("name", metavar="NETWORK", shell_complete=completes("network"))
@click.argument("container", metavar="CONTAINER")
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="Found by that name too")
@click.option("--ip", default="", metavar="ADDR", help="The address it is to have [chosen]")
@click.option("--ip6", default="", metavar="ADDR", help="The same of IPv6")
@click.pass_obj
def connect(
    client: Client, name: str, container: str, aliases: tuple[str, ...], ip: str, ip6: str
) -> None:
    """Put a container of this host that is no task into a network."""
    asked = specs_pb2.NetworkAttachmentSpec(
        target=name, aliases=aliases, addresses=filter(None, (ip, ip6))
    )
    request = containers_pb2.ConnectNetworkRequest(key=container, network=asked)
    doing = f"connecting {container} to network {name}"
    client.call(client.containers.ConnectNetwork, request, doing, at_least=_CONNECTS, once=True)


@click.command("disconnect", cls=Verb)
@click.argument("name", metavar="NETWORK", shell_complete=completes("network"))
@click.argument("container", metavar="CONTAINER")
@click.option("-f", "--force", is_flag=True, help="No failure if it is not in it")
@click.pass_obj
def disconnect(client: Client, name: str, container: str, force: bool) -> None:
    """Take a container of this host that is no task out of a network."""
    request = containers_pb2.DisconnectNetworkRequest(key=container, network=name, force=force)
    doing = f"disconnecting {container} from network {name}"
    client.call(client.containers.DisconnectNetwork, request, doing, once=True)
