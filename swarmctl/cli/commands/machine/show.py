"""`swarmctl machine inspect`, `ip`, `url`, `status` and `version`: what is known, and what is."""

from collections.abc import Awaitable, Callable
from typing import Any

import click

from machine.certs.authority import expiry_of
from machine.certs.host_papers import server_certificate_of
from machine.store.machine import Machine
from machine.store.store import Store
from machine.target import Target
from swarmctl.cli.commands.machine.looks import look, running_version
from swarmctl.cli.commands.machine.names import machine_names, the_only_one, url_of
from swarmctl.cli.commands.machine.together import done, end
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import inspect_format
from swarmctl.cli.render import check_inspect, inspect
from swarmctl.cli.units import rfc3339

_LIMIT = 5.0
names_argument = click.argument("names", nargs=-1, shell_complete=machine_names)


@click.command("inspect", cls=Verb)
@names_argument
@inspect_format
def inspect_(names: tuple[str, ...], form: str) -> None:
    """Show machines in full, as the store has them."""
    store = Store.open()
    check_inspect(form, document(store, Machine("", Target(""))))

    async def one(machine: Machine) -> dict[str, Any]:
        return document(store, machine)

    found = done(store, names or (the_only_one(store),), one)
    documents = [each.value for each in found if each.value is not None]
    click.echo(inspect(documents, form), nl=False)
    end(found)


@click.command(cls=Verb)
@names_argument
def ip(names: tuple[str, ...]) -> None:
    """Print addresses of machines, one a line."""

    async def one(store: Store, machine: Machine) -> str:
        return machine.api_address or machine.target.host

    _print_each(names, one)


@click.command(cls=Verb)
@names_argument
def url(names: tuple[str, ...]) -> None:
    """Print where the API of machines is, one a line."""

    async def one(store: Store, machine: Machine) -> str:
        return url_of(machine)

    _print_each(names, one)


@click.command(cls=Verb)
@names_argument
def status(names: tuple[str, ...]) -> None:
    """Print what machines do: Running, Paused, Stopped or Unreachable."""

    async def one(store: Store, machine: Machine) -> str:
        return (await look(store, machine, _LIMIT)).state

    _print_each(names, one)


@click.command(cls=Verb)
@names_argument
def version(names: tuple[str, ...]) -> None:
    """Print which version of swarmd machines run."""

    async def one(store: Store, machine: Machine) -> str:
        return await running_version(store, machine, _LIMIT)

    _print_each(names, one)


def _print_each(names: tuple[str, ...], act: Callable[[Store, Machine], Awaitable[str]]) -> None:
    """A line for each machine; where there is only one, it need not be named."""
    store = Store.open()
    found = done(store, names or (the_only_one(store),), lambda machine: act(store, machine))
    for each in found:
        if each.value is not None:
            click.echo(each.value)
    end(found)


def document(store: Store, machine: Machine) -> dict[str, Any]:
    """The record as `inspect` shows it."""
    target = machine.target
    certificate = server_certificate_of(store, machine) if machine.name else None
    return {
        "Name": machine.name,
        "Driver": {"Name": machine.driver, "Options": dict(machine.options)},
        "SSH": {
            "Host": target.host,
            "User": target.user,
            "Port": target.port,
            "Key": target.key,
            "Jump": list(target.jump),
            "Agent": target.agent,
            "HostKey": target.host_key,
        },
        "URL": machine.url,
        "Phase": machine.phase.value,
        "Step": machine.step,
        "Error": machine.error,
        "Version": machine.version,
        "Wanted": {
            "Version": machine.wish.version,
            "Settings": dict(machine.wish.settings),
            "Labels": dict(machine.wish.labels),
            "Hostname": machine.wish.hostname,
        },
        "CertificateNames": list(machine.names),
        "CertificateExpiresAt": rfc3339(expiry_of(certificate)) if certificate else "",
        "Folder": str(store.folder(machine.name)) if machine.name else "",
        "CreatedAt": rfc3339(machine.created),
        "ChangedAt": rfc3339(machine.changed),
    }
