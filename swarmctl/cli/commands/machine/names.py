"""How commands call machines: names that complete, and their address."""

import click

from api.errors import Code, SwarmError, invalid
from machine.store.machine import Machine
from machine.store.store import Store


def machine_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The completion function for machines."""
    given = ctx.params.get(param.name or "") or ()
    known = Store.open().names()
    return [name for name in known if name.startswith(incomplete) and name not in given]


def url_of(machine: Machine) -> str:
    """Where its API is, as SWARM_HOST takes it; REFUSED before it has one."""
    if not machine.api:
        raise SwarmError(
            Code.REFUSED,
            f"machine {machine.name} has no API yet",
            why=machine.error
            or ("it was adopted as it is" if machine.version else "it was not provisioned"),
            remedy=f"go on with it: swarmctl machine provision {machine.name}",
        )
    return machine.url


def refuse_without_ssh(machine: Machine) -> None:
    """UNSUPPORTED for a machine that is entered, where a program of OpenSSH is to go there."""
    if machine.is_entered:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{machine.name} has no SSH server",
            why="it is a part of this machine, and its files are files of this one",
            remedy=f"run commands there with swarmctl machine ssh {machine.name}",
        )


def the_only_one(store: Store) -> str:
    """The name of the only machine, for those who named none; INVALID if that is not clear."""
    names = store.names()
    if len(names) != 1:
        raise invalid(
            "name",
            "the name of a machine is needed",
            why=f"there are {len(names)} of them",
            remedy="see them with swarmctl machine ls",
        )
    return names[0]
