"""`swarmctl machine`: hosts that this operator has, from a bare SSH server to a node of a swarm.

Works from here, over SSH and the hosts' own API; besides `lab` the only noun that calls no daemon.
"""

import click

from swarmctl.cli.grammar import Noun

_HERE = "swarmctl.cli.commands.machine"
_VERBS = {
    "active": (f"{_HERE}.env:active", "Print which machine the environment points at"),
    "config": (f"{_HERE}.env:config", "Print the flags with which swarmctl speaks to a machine"),
    "env": (f"{_HERE}.env:env", "Print what points a shell at a machine"),
    "inspect": (f"{_HERE}.show:inspect_", "Show machines in full"),
    "ip": (f"{_HERE}.show:ip", "Print addresses of machines"),
    "ls": (f"{_HERE}.ls:ls", "List machines, and ask each how it is"),
    "status": (f"{_HERE}.show:status", "Print what machines do"),
    "url": (f"{_HERE}.show:url", "Print where the API of machines is"),
    "version": (f"{_HERE}.show:version", "Print which version machines run"),
}


@click.group(cls=Noun, lazy=_VERBS)
def machine() -> None:
    """Manage hosts over SSH, and make nodes of them."""
