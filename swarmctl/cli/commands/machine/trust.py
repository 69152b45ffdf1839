"""`swarmctl machine trust`: the only way to take another host key for a machine."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import click

from api.errors import Code, SwarmError
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.remote import shown_key
from machine.store.machine import Machine
from machine.store.store import Store
from swarmctl.cli.commands.machine.asking import around, keyring
from swarmctl.cli.commands.machine.names import machine_names, refuse_without_ssh
from swarmctl.cli.grammar import Verb


@click.command(cls=Verb)
@click.argument("name", shell_complete=machine_names)
@click.option("--host-key", default="", metavar="SHA256:...", help="The fingerprint it must show")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
def trust(name: str, host_key: str, yes: bool) -> None:
    """Trust the host key that a machine shows now, in place of the one that was pinned."""
    store = Store.open()
    machine = store.get(name)
    refuse_without_ssh(machine)
    known = KnownHosts(store.known_hosts)
    shown = asyncio.run(shown_key(name, machine.target, around(store, machine, keyring())))
    before = known.find(shown.name)
    if host_key and host_key != shown.fingerprint:
        raise SwarmError(
            Code.REFUSED,
            f"{name} does not show that key",
            why=f"it shows {shown.fingerprint}, {shown.kind}",
            remedy="whatever answers there is not the machine that you mean",
        )
    _tell(machine, shown, before)
    if not host_key and not yes:
        click.confirm("Trust it from now on?", abort=True, err=True)
    with store.locked(name, "trusting another key of it"):
        known.replace(shown)
        if machine.target.host_key:
            target = replace(machine.target, host_key=shown.fingerprint)
            store.save(replace(store.get(name), target=target))
    click.echo(name)


def _tell(machine: Machine, shown: HostKey, before: Sequence[HostKey]) -> None:
    told = [each.fingerprint for each in before]
    click.echo(
        f"{machine.name} at {shown.name} shows {shown.fingerprint} ({shown.kind}); "
        f"pinned was {', '.join(told) or 'none'}",
        err=True,
    )
