"""`swarmctl machine env`, `config` and `active`: which host this shell's swarmctl speaks to."""

import contextlib
import os

import click

from api.errors import Code, SwarmError
from machine.certs.host_papers import client_folder
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli import shells
from swarmctl.cli.commands.machine.names import machine_names, the_only_one, url_of
from swarmctl.cli.grammar import Verb

HOST, CERT_PATH, NAME = "SWARM_HOST", "SWARM_CERT_PATH", "SWARM_MACHINE_NAME"


@click.command(cls=Verb)
@click.argument("name", required=False, shell_complete=machine_names)
@click.option("--shell", type=click.Choice(shells.SHELLS), help="Its words [by $SHELL]")
@click.option("-u", "--unset", is_flag=True, help="Take the variables back")
@click.option("--no-proxy", is_flag=True, help="Also add the machine to NO_PROXY")
def env(name: str | None, shell: str | None, unset: bool, no_proxy: bool) -> None:
    """Print what points a shell at a machine: eval $(swarmctl machine env h1)."""
    told = shell or shells.of_environment(os.environ)
    said = (["--shell", shell] if shell else []) + (["--no-proxy"] if no_proxy else [])
    command = ["swarmctl", "machine", "env", *said]
    store = Store.open()
    if unset:
        address = _active_address(store) if no_proxy else ""
        values = _no_proxy(address, add=False) if address else {}
        gone = (HOST, CERT_PATH, NAME)
        click.echo(shells.script(told, values, gone, [*command, "--unset"]), nl=False)
        return
    machine = store.get(name or the_only_one(store))
    values = _variables(store, machine)
    if no_proxy and machine.api_address:
        values |= _no_proxy(machine.api_address, add=True)
    unused = () if CERT_PATH in values else (CERT_PATH,)
    click.echo(shells.script(told, values, unused, [*command, machine.name]), nl=False)


@click.command(cls=Verb)
@click.argument("name", required=False, shell_complete=machine_names)
def config(name: str | None) -> None:
    """Print the flags for a machine: swarmctl $(swarmctl machine config h1) system info."""
    store = Store.open()
    machine = store.get(name or the_only_one(store))
    variables = _variables(store, machine)
    click.echo(f"--host={variables[HOST]}")
    if CERT_PATH in variables:
        click.echo(f"--cert-path={variables[CERT_PATH]}")


@click.command(cls=Verb)
def active() -> None:
    """Print which machine the environment points at."""
    found = active_machine(Store.open())
    if not found:
        raise SwarmError(
            Code.NOT_FOUND,
            "no machine is active",
            remedy="point this shell at one: eval $(swarmctl machine env NAME)",
        )
    click.echo(found)


def active_machine(store: Store) -> str:
    """The machine that SWARM_HOST points at; empty if it is none of the store."""
    here = os.environ.get(HOST, "")
    named = os.environ.get(NAME, "")
    names = [named] if named in store.names() else []
    for each in (*names, *store.names()) if here else ():
        with contextlib.suppress(SwarmError):  # of a record that cannot be read, `ls` tells
            if url_of(store.get(each)) == here:
                return each
    return ""


def _variables(store: Store, machine: Machine) -> dict[str, str]:
    """A socket of this workstation asks for no certificate."""
    url = url_of(machine)
    papers = {} if machine.is_entered else {CERT_PATH: str(client_folder(store, machine))}
    return {HOST: url, **papers, NAME: machine.name}


def _active_address(store: Store) -> str:
    name = active_machine(store)
    return store.get(name).api_address if name else ""


def _no_proxy(address: str, *, add: bool) -> dict[str, str]:
    """The list with the machine in it or without, under the name that is in use."""
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
    listed = [each for each in os.environ.get(name, "").split(",") if each not in ("", address)]
    return {name: ",".join([*listed, address] if add else listed)}
