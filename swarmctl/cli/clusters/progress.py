"""Shows how a run comes along: a picture on a terminal, lines elsewhere, JSON for programs."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from machine.provisioning import DETAIL
from machine.swarm.actions import Plan
from machine.swarm.events import Event, Report, Stage
from swarmctl.cli.units import rfc3339

_WORDS: Mapping[Stage, str] = {
    Stage.BEGUN: "...",
    Stage.SAID: "...",
    Stage.DONE: "done",
    Stage.FAILED: "failed",
    Stage.BACK: "goes back",
    Stage.SKIPPED: "skipped",
}


@contextmanager
def shown(form: str, plan: Plan) -> Iterator[Report]:
    """What takes the events of a run, and shows them until it ends. `form`: one of those that
    `--progress` takes.
    """
    if form == "auto":
        form = "picture" if sys.stderr.isatty() else "plain"
    if form == "picture":
        with _picture(plan) as report:
            yield report
    else:
        yield {"json": _json, "plain": _line, "none": _nothing}[form]


def line(event: Event) -> str:
    """An event as a line of a log."""
    if event.stage is Stage.PHASE:
        return f"== {event.phase}"
    text = f": {event.text}" if event.text else ""
    return f"{event.host}: {event.action or event.phase}: {_WORDS[event.stage]}{text}"


def document(event: Event, now: float) -> dict[str, str]:
    """An event for programs; what is empty is left out."""
    found = {
        "time": rfc3339(now),
        "stage": event.stage.value,
        "phase": event.phase,
        "host": event.host,
        "action": event.action,
        "text": event.text,
    }
    return {key: value for key, value in found.items() if value}


def _json(event: Event) -> None:
    click.echo(json.dumps(document(event, _wall())))


def _line(event: Event) -> None:
    if not event.text.startswith(DETAIL):
        click.echo(f"{rfc3339(_wall())} {line(event)}", err=True)


def _nothing(event: Event) -> None:
    return None


@contextmanager
def _picture(plan: Plan) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - costs start-up time
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True)
    picture = Picture(plan)
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def report(event: Event) -> None:
            for text in picture.take(event):
                live.console.print(text, markup=False, highlight=False)
            live.update(Text("\n".join(picture.lines(console.width))), refresh=True)

        yield report


class Picture:
    """What happens now, a line for each host at work; what ended is printed above it for good."""

    def __init__(self, plan: Plan) -> None:
        self._hosts: dict[str, str] = {}
        self._left = sum(1 for _ in plan.actions())
        self._phase = ""

    def take(self, event: Event) -> list[str]:
        """Takes an event in; the lines that are to stay."""
        match event.stage:
            case Stage.PHASE:
                self._phase = event.phase
                return [f"== {event.phase}"]
            case Stage.BEGUN | Stage.BACK:
                self._hosts[event.host] = event.action
                return []
            case Stage.SAID:
                self._hosts[event.host] = f"{event.action}: {event.text}"
                return []
        self._hosts.pop(event.host, None)
        self._left -= 1
        return [line(event)]

    def lines(self, width: int) -> list[str]:
        """The picture, no line longer than `width`."""
        head = f"{self._phase}: {max(0, self._left)} actions to go"
        busy = [f"  {host}: {text}" for host, text in sorted(self._hosts.items())]
        return [each[: width - 1] for each in (head, *busy)]


def _wall() -> float:
    return time.time()  # noqa: TID251 - the shell of a whole program
