"""`swarmctl machine certs`: when the certificates of a cluster end, and others in their place."""

import asyncio
from pathlib import Path

import click

from api.errors import SwarmError
from machine.certs.host_papers import host_papers, is_certified_here
from machine.certs.operator_ca import OperatorCa
from machine.certs.sending import send
from machine.store.machine import Phase
from machine.swarm.papers import Paper, papers, rotate_root
from swarmctl.cli.clusters.carrying import Talk, confirm, held_here
from swarmctl.cli.clusters.cluster_file import load
from swarmctl.cli.clusters.session import Means, Session, opened
from swarmctl.cli.commands.machine import cluster_flags as flags
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import DURATION, format_option
from swarmctl.cli.render import Listing
from swarmctl.cli.units import rfc3339

ROTATE = "rotate"
_LISTING = Listing(
    columns=(("Of", "OF"), ("Kind", "KIND"), ("Expires", "EXPIRES"), ("Remark", "REMARK")),
    quiet="Of",
)


@click.command("certs", cls=Verb)
@click.argument("verb", required=False, type=click.Choice([ROTATE]), metavar="[rotate]")
@flags.file_option
@click.option("--ca", is_flag=True, help="Also the swarm's root, and your own authority")
@click.option(
    "--wait-timeout", type=DURATION, default="10m", help="For every node to follow the root [10m]"
)
@flags.message_option
@flags.yes_option
@format_option
def certs(
    verb: str | None,
    path: Path,
    ca: bool,
    wait_timeout: float,
    message: str,
    yes: bool,
    form: str,
) -> None:
    """Show when the certificates of a cluster end, with a remark 30 days before.

    With `rotate` hosts' APIs and you get others, and with --ca the swarm and all its nodes, too.
    What was good before stays good until all have followed, and nothing is restarted. With --ca
    those of people with whom you share machines end then: share anew.
    """
    if verb is None:
        if ca:
            raise click.UsageError("--ca goes with rotate")
        _LISTING.check(form)
        asyncio.run(_show(path, form))
    else:
        talk = Talk(yes=yes, message=message)
        asyncio.run(_rotate(path, talk, wait_timeout if ca else None))


async def _show(path: Path, form: str) -> None:
    async with opened(load(path), Means()) as session:
        seen = await session.ask()
        found = await papers(seen, session.remotes, session.hands(seen).managers)
        now = session.store.now()
        click.echo(_LISTING.render([_row(each, now) for each in found], form), nl=False)
        for name, host in seen.hosts.items():
            if host.error:
                click.echo(f"{name} is not reached: {host.error}", err=True)


def _row(paper: Paper, now: float) -> dict[str, str]:
    return {
        "Of": paper.of,
        "Kind": paper.kind,
        "Expires": rfc3339(paper.expires),
        "Remark": paper.remark(now),
    }


async def _rotate(path: Path, talk: Talk, root_within: float | None) -> None:
    async with opened(load(path), Means()) as session:
        _all_reached(session)
        if root_within is not None:
            _tell_who_loses(session)
        await confirm(talk, "Exchange certificates?")
        lock = session.lock(f"rotation of certificates of {session.wanted.name}", talk.message)
        with held_here(session, "exchanging its certificates"):
            async with lock.held():
                if root_within is None:
                    await _send(session, fresh=True)
                    return
                seen = await session.ask()
                if seen.cluster_id:
                    await rotate_root(session.hands(seen).managers, _tell, root_within)
                await _rotate_own(session)


def _all_reached(session: Session) -> None:
    for way in session.ways.values():
        if isinstance(way, SwarmError):
            raise way


def _tell_who_loses(session: Session) -> None:
    """Whoever has a certificate of the authority that goes, before the operator is asked."""
    if _others(session) or not OperatorCa.exists(session.store):
        return  # it stays, or there is none
    if people := OperatorCa(session.store).losing():
        _tell(
            f"the certificates of {', '.join(people)} end with your authority: "
            "share the machines with them anew afterwards"
        )


async def _rotate_own(session: Session) -> None:
    """The operator's own authority: both are trusted until every host has the new one."""
    authority = OperatorCa(session.store)
    if others := _others(session):
        _tell(f"your own authority stays: {', '.join(others)}, not in the file, trust it too")
        await _send(session, fresh=True)
        return
    if not authority.is_rotating():  # else one that was cut off is brought to its end
        authority.rotate()
    await _send(session, fresh=True)
    authority.end_rotation()
    await _send(session, fresh=False)


def _others(session: Session) -> list[str]:
    """Machines of the store that are no hosts of the file, and trust the operator's authority."""
    store, hosts = session.store, session.wanted.hosts
    return [
        each.name
        for each in map(store.get, store.names())
        if is_certified_here(store, each)
        and each.phase is not Phase.NEW
        and not (each.name in hosts and session.certified(hosts[each.name]))
    ]


async def _send(session: Session, *, fresh: bool) -> None:
    """Gives every host of ours what its API is to have, and the operator a new certificate."""
    store = session.store
    for name, remote in session.remotes.items():
        machine = session.certified(session.wanted.hosts[name])
        if machine is None:
            _tell(f"{name}: your own authority does not certify its API, so its certificate stays")
            continue
        changed = await send(remote, host_papers(store, machine, fresh=fresh).files)
        _tell(f"{name}: {'new certificate of its API' if changed else 'unchanged'}")
    if fresh:
        OperatorCa(store).renew_client()


def _tell(line: str) -> None:
    click.echo(line, err=True)
