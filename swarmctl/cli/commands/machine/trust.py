"""`swarmctl machine trust`: the only way to take another host key for a machine."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click

from api.errors import Code, SwarmError
from machine.ssh.connection import Circumstances
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.ssh.remote import shown_key
from machine.store.store import Store
from machine.target import Target
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.commands.machine.asking import around, keyring, tell_pinned
from swarmctl.cli.commands.machine.cluster_flags import FILE
from swarmctl.cli.commands.machine.names import machine_names, refuse_without_ssh
from swarmctl.cli.grammar import Verb


@click.command(cls=Verb)
@click.argument("name", shell_complete=machine_names)
@click.option(
    "-f", "--file", "path", type=FILE, help="Cluster file with that host, if it is no machine yet"
)
@click.option("--host-key", default="", metavar="SHA256:...", help="The fingerprint it must show")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
def trust(name: str, path: Path | None, host_key: str, yes: bool) -> None:
    """Trust the host key that a machine shows now, in place of the one that was pinned."""
    store = Store.open()
    target, way = _way(store, name, path)
    known = KnownHosts(store.known_hosts)
    shown = asyncio.run(shown_key(name, target, way))
    before = known.find(shown.name)
    if host_key and host_key != shown.fingerprint:
        raise SwarmError(
            Code.REFUSED,
            f"{name} does not show that key",
            why=f"it shows {shown.fingerprint}, {shown.kind}",
            remedy="whatever answers there is not the machine that you mean",
        )
    _tell(name, shown, before)
    if not host_key and not yes:
        click.confirm("Trust it from now on?", abort=True, err=True)
    held = store.locked(name, "trusting another key of it") if store.has(name) else nullcontext()
    with held:
        known.replace(shown)
        if path is None and target.host_key:
            target = replace(target, host_key=shown.fingerprint)
            store.save(replace(store.get(name), target=target))
    click.echo(name)


def _way(store: Store, name: str, path: Path | None) -> tuple[Target, Circumstances]:
    """How the machine is reached: as the store has it, or as the file says."""
    if path is None:
        machine = store.get(name)
        refuse_without_ssh(machine)
        return machine.target, around(store, machine, keyring())
    hosts = load(path).hosts
    if name not in hosts:
        raise SwarmError(Code.NOT_FOUND, f"there is no host {name} in {path}")
    return hosts[name].target, Circumstances(KnownHosts(store.known_hosts), keyring(), tell_pinned)


def _tell(name: str, shown: HostKey, before: Sequence[HostKey]) -> None:
    told = [each.fingerprint for each in before]
    click.echo(
        f"{name} at {shown.name} shows {shown.fingerprint} ({shown.kind}); "
        f"pinned was {', '.join(told) or 'none'}",
        err=True,
    )
