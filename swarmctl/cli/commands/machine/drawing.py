"""Shows what happens to several machines at once: a picture on a terminal, lines elsewhere, JSON
for programs. Decides nothing.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from machine.provisioning import DETAIL, Tell
from swarmctl.cli.units import rfc3339

FORMS = ("auto", "plain", "json", "none")
progress_option = click.option(
    "--progress",
    "form",
    type=click.Choice(FORMS),
    default="auto",
    help="json: an event a line, on standard output",
)


class Drawing:
    """Takes lines and endings; this one shows nothing. Safe in threads, for SSH works in some."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def teller(self, machine: str) -> Tell:
        """What takes the lines of one machine."""

        def tell(line: str) -> None:
            with self.lock:
                self.said(machine, line)

        return tell

    def finish(self, machine: str, how: str, text: str) -> None:
        """The work on a machine has ended: done or failed."""
        with self.lock:
            self.ended(machine, how, text)

    def said(self, machine: str, line: str) -> None:
        """Shows a line of what is done now."""

    def ended(self, machine: str, how: str, text: str) -> None:
        """Shows an ending."""


class Lines(Drawing):
    """A log: what programs say is left out."""

    def said(self, machine: str, line: str) -> None:
        """See Drawing."""
        if not line.startswith(DETAIL):
            click.echo(f"{machine}: {line}", err=True)

    def ended(self, machine: str, how: str, text: str) -> None:
        """Failures are told by the command."""
        if how == "done":
            click.echo(f"{machine}: {text}", err=True)


class Events(Drawing):
    """For programs, all of it."""

    def said(self, machine: str, line: str) -> None:
        """See Drawing."""
        self._event(machine, "detail" if line.startswith(DETAIL) else "said", line.strip())

    def ended(self, machine: str, how: str, text: str) -> None:
        """See Drawing."""
        self._event(machine, how, text)

    def _event(self, machine: str, stage: str, text: str) -> None:
        moment = rfc3339(time.time())  # noqa: TID251 - the shell of a whole program
        click.echo(json.dumps({"time": moment, "stage": stage, "host": machine, "text": text}))


class Picture(Drawing):
    """A line for each machine at work, drawn over; what ended stays above it."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - costs start-up time
        from rich.live import Live  # noqa: PLC0415

        super().__init__()
        self._console = Console(stderr=True)
        self.live = Live(console=self._console, auto_refresh=False, transient=True)
        self._steps: dict[str, str] = {}
        self._details: dict[str, str] = {}

    def said(self, machine: str, line: str) -> None:
        """See Drawing."""
        if line.startswith(DETAIL):
            self._details[machine] = line
        else:
            self._steps[machine], self._details[machine] = line, ""
        self._draw()

    def ended(self, machine: str, how: str, text: str) -> None:
        """See Drawing."""
        self._steps.pop(machine, None)
        if how == "done":
            self.live.console.print(f"{machine}: {text}", markup=False, highlight=False)
        self._draw()

    def rows(self) -> list[str]:
        """A line for each machine at work, as wide as the terminal at most."""
        return [
            f"{name}: {step}{self._details.get(name, '')}"[: self._console.width - 1]
            for name, step in sorted(self._steps.items())
        ]

    def _draw(self) -> None:
        from rich.text import Text  # noqa: PLC0415

        self.live.update(Text("\n".join(self.rows())), refresh=True)


@contextmanager
def drawing(form: str) -> Iterator[Drawing]:
    """What shows a run, until it ends. `form`: one of FORMS."""
    if form == "auto" and sys.stderr.isatty():
        picture = Picture()
        with picture.live:
            yield picture
        return
    yield {"json": Events, "none": Drawing}.get(form, Lines)()
