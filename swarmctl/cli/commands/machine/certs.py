"""`swarmctl machine regenerate-certs` and `share`: who is trusted by machines, and how they prove
that they are what they are.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from api.errors import invalid
from machine.certs.authority import expiry_of
from machine.certs.host_papers import (
    host_papers,
    is_certified_here,
    server_certificate_of,
)
from machine.certs.operator_ca import OperatorCa
from machine.certs.sending import send
from machine.moving.moving import movable, shared
from machine.ssh.keys import Keyring
from machine.store.machine import Machine, Phase
from machine.store.store import Store
from swarmctl.cli.commands.machine.asking import keyring, remote_of
from swarmctl.cli.commands.machine.names import machine_names, url_of
from swarmctl.cli.commands.machine.parcel import Seal, passphrase_option, to_option, write
from swarmctl.cli.commands.machine.together import done, end
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import format_option
from swarmctl.cli.render import Listing
from swarmctl.cli.units import rfc3339

_LISTING = Listing(
    columns=(("Person", "PERSON"), ("Expires", "EXPIRES"), ("Revoked", "REVOKED")),
    quiet="Person",
)


@click.command("regenerate-certs", cls=Verb)
@click.argument("names", nargs=-1, required=True, shell_complete=machine_names)
@click.option("-f", "--force", is_flag=True, help="Also where there is no reason to")
@click.option("--client-certs", is_flag=True, help="Make another certificate for yourself, too")
def regenerate_certs(names: tuple[str, ...], force: bool, client_certs: bool) -> None:
    """Give machines the certificate that they are to have; their daemons are not restarted."""
    store, keys = Store.open(), keyring()
    if client_certs:
        OperatorCa(store).renew_client()

    async def one(machine: Machine) -> None:
        url_of(machine)  # one without an API of ours gets no file of ours
        with store.locked(machine.name, "renewing its certificate"):
            papers = host_papers(store, machine, fresh=force)
            async with remote_of(store, machine, keys) as remote:
                changed = await send(remote, papers.files)
        made = server_certificate_of(store, machine)
        until = rfc3339(expiry_of(made)) if made else ""
        click.echo(f"{machine.name}: {'new' if changed else 'unchanged'}, good until {until}")

    end(done(store, names, one))


@click.command(cls=Verb)
@click.argument("names", nargs=-1, shell_complete=machine_names)
@click.option("--with", "person", default="", metavar="PERSON", help="Who may use the machines")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File for him [PERSON.machines]"
)
@click.option("--revoke", default="", metavar="PERSON", help="Who may not any more")
@to_option
@passphrase_option
@format_option
def share(
    names: tuple[str, ...],
    person: str,
    output: Path | None,
    revoke: str,
    keys: tuple[str, ...],
    passphrase_file: Path | None,
    form: str,
) -> None:
    """Let a colleague use machines, with a certificate of his own; without flags: list who may."""
    store = Store.open()
    if person and revoke:
        raise invalid("revoke", "--with and --revoke exclude each other", remedy="give one")
    if revoke:
        _revoke(store, revoke, names)
    elif person:
        path = output or Path(f"{person.replace(os.sep, '_')}.machines")
        chosen = names or movable(store)
        write(path, Seal(keys, passphrase_file), lambda: shared(store, chosen, person))
    else:
        _list(store, form)


def _list(store: Store, form: str) -> None:
    _LISTING.check(form)
    people = OperatorCa(store).issued() if OperatorCa.exists(store) else ()
    rows = [
        {
            "Person": each.person,
            "Expires": rfc3339(each.not_after),
            "Revoked": rfc3339(each.revoked) if each.revoked else "",
        }
        for each in people
    ]
    click.echo(_LISTING.render(rows, form), nl=False)


def _revoke(store: Store, person: str, names: Sequence[str]) -> None:
    """Writes it down first: a machine that is away hears of it at its next provisioning."""
    authority, keys = OperatorCa(store), keyring()
    if names:
        raise invalid(
            "revoke", "a certificate is revoked for all machines", remedy="leave the names out"
        )
    authority.revoke(person)

    async def one(machine: Machine) -> None:
        if is_certified_here(store, machine) and machine.phase is not Phase.NEW:
            await _send(store, machine, keys)

    found = done(store, store.names(), one)
    away = [each.name for each in found if each.error is not None]
    click.echo(person)
    if away:
        click.echo(
            f"{', '.join(away)} did not hear of it yet, and let {person} in: "
            f"swarmctl machine regenerate-certs {' '.join(away)}",
            err=True,
        )
    end(found)


async def _send(store: Store, machine: Machine, keys: Keyring) -> None:
    with store.locked(machine.name, "telling it who is revoked"):
        papers = host_papers(store, machine)
        async with remote_of(store, machine, keys) as remote:
            await send(remote, papers.files)
