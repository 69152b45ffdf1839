"""`swarmctl machine ls`: all machines, each asked at the same time how it is."""

import asyncio
from collections.abc import Mapping, Sequence

import click

from api.errors import SwarmError
from machine.store.store import Store
from swarmctl.cli.commands.machine.env import active_machine
from swarmctl.cli.commands.machine.looks import Look, look
from swarmctl.cli.commands.machine.together import Outcome, outcomes
from swarmctl.cli.filters import filter_option, label, read_filters, rows_that_match, text
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import DURATION, format_option
from swarmctl.cli.render import Listing, natural

_LISTING = Listing(
    columns=(
        ("Name", "NAME"),
        ("Active", "ACTIVE"),
        ("Driver", "DRIVER"),
        ("State", "STATE"),
        ("URL", "URL"),
        ("Swarm", "SWARM"),
        ("Version", "VERSION"),
        ("Errors", "ERRORS"),
    ),
    quiet="Name",
    more=(("Address", "ADDRESS"), ("Labels", "LABELS"), ("Phase", "PHASE")),
)
_FILTERS = {
    "driver": text("Driver"),
    "label": label("Label"),
    "name": text("Name"),
    "state": text("State"),
    "swarm": text("Swarm"),
}
AT_ONCE = 32


@click.command(cls=Verb)
@filter_option(_FILTERS)
@format_option
@click.option("-q", "--quiet", is_flag=True, help="Only print names; asks no machine")
@click.option(
    "-t",
    "--timeout",
    type=DURATION,
    default="5s",
    show_default=True,
    help="How long one machine may take to answer",
)
def ls(filters: tuple[str, ...], form: str, quiet: bool, timeout: float) -> None:
    """List machines, and ask each how it is."""
    _LISTING.check(form)
    asked = dict(read_filters(filters, _FILTERS))
    store = Store.open()
    names = sorted(store.names(), key=natural)
    if quiet and not {"State", "Swarm"} & set(asked):
        looks = [Outcome(name, Look()) for name in names]
    else:
        looks = asyncio.run(
            outcomes(names, lambda name: look(store, store.get(name), timeout), at_once=AT_ONCE)
        )
    active = "" if quiet else active_machine(store)
    rows = [_row(store, each.name, _seen(each), each.name == active) for each in looks]
    labels = asked.pop("Label", ())
    found = [row for row in rows_that_match(rows, asked) if _has_labels(row, labels)]
    click.echo(_LISTING.render(found, form, quiet=quiet), nl=False)


def _seen(outcome: Outcome[Look]) -> Look:
    return outcome.value or Look(errors=(str(outcome.error),))


def _has_labels(row: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """All of them, each a KEY or KEY=VALUE."""
    has = row["Labels"].split(",")
    keys = {each.partition("=")[0] for each in has}
    return all(each in has if "=" in each else each in keys for each in wanted)


def _row(store: Store, name: str, seen: Look, is_active: bool) -> dict[str, str]:
    """Of one machine; a record that cannot be read is told in its row."""
    row = {
        "Name": name,
        "Active": "*" if is_active else "-",
        "State": seen.state,
        "Swarm": seen.swarm or "-",
        "Version": seen.version or "-",
        "Errors": "; ".join(seen.errors),
    }
    try:
        machine = store.get(name)
    except SwarmError as error:
        gone = dict.fromkeys(("Driver", "URL", "Address", "Labels", "Phase"), "")
        return row | gone | {"State": "Error", "Errors": str(error)}
    return row | {
        "Driver": machine.driver,
        "URL": machine.url,
        "Address": machine.target.host,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(machine.wish.labels.items())),
        "Phase": machine.phase.value,
    }
