"""`swarmctl events`: what happens in the swarm, and what has happened lately."""

from collections.abc import Iterable, Iterator

import click

from api.errors import Code, SwarmError
from api.times import at_nanos
from api.v1 import events_pb2
from swarmctl.cli import event_lines
from swarmctl.cli.client import Client
from swarmctl.cli.following import follow
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import MOMENT

_KEYS = "Show only what matches; keys: type, event, name, label, and each type, as service=web"


@click.command("events", cls=Verb)
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=_KEYS)
@click.option("--since", type=MOMENT, help="As 10m or RFC 3339: also what was")
@click.option("--until", type=MOMENT, help="As 10m or RFC 3339: then end")
@click.option("--format", "form", default="", metavar="FORMAT", help="json, or a template")
@click.pass_obj
def events(
    client: Client, filters: tuple[str, ...], since: int | None, until: int | None, form: str
) -> None:
    """Show what happens in the swarm, as it happens."""
    event_lines.check(form)
    request = events_pb2.EventsRequest(filters=_filters(filters))
    if since is not None:
        request.since.CopyFrom(at_nanos(since))
    if until is not None:
        request.until.CopyFrom(at_nanos(until))
    try:
        for message in follow(client, request):
            if message.HasField("gap"):
                _tell(message.gap)
            for event in message.events:
                click.echo(event_lines.line(event, form))
    except SwarmError as error:
        if error.field != "filters" or error.code is not Code.INVALID:
            raise
        # The manager knows the keys and words; that one is wrong is a matter of usage all the same.
        raise click.BadParameter(f"{error.what}: {error.why}", param_hint="--filter") from None


def _filters(given: Iterable[str]) -> Iterator[events_pb2.EventFilter]:
    """The filters by key; which keys there are the manager knows."""
    by_key: dict[str, list[str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r}: use KEY=VALUE", param_hint="--filter")
        by_key.setdefault(key, []).append(value)
    for key, values in by_key.items():
        yield events_pb2.EventFilter(key=key, values=values)


def _tell(gap: events_pb2.EventsGap) -> None:
    click.echo(
        f"swarmctl: events are missing before entry {gap.begin.index + 1} of the log: {gap.why}",
        err=True,
    )
