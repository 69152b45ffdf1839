"""Shows a service's progress until it is stable, or time runs out. The shell around progress.py."""

import queue
import sys
import threading
import time
from collections.abc import Iterator

import click

from api.errors import Code, SwarmError
from api.modes import is_job
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import progress
from swarmctl.cli.client import Client
from swarmctl.cli.failures import INTERRUPTED, NotConvergedError
from swarmctl.cli.progress import Stability, Watched
from swarmctl.cli.rollouts import how_to_go_on
from swarmctl.cli.signals import ENDING, end, handling
from swarmctl.cli.units import go_duration, rfc3339

REDRAW = 0.2
"""Seconds between two pictures on a terminal, and between two looks at the clock."""
PATIENCE = 30.0
"""Seconds for which a watch that broke is begun anew before the wait is given up."""

_BROKEN = (Code.UNAVAILABLE, Code.CANCELLED)

Selector = control_pb2.WatchSelector


def wait_for(
    client: Client, service: objects_pb2.Service, *, quiet: bool, timeout: float | None
) -> None:
    """Returns when the service is stable. NotConvergedError after `timeout` seconds, or once there
    is no use in waiting, as when an update is paused or was rolled back.

    Ctrl-C ends the wait only: the service goes on.
    """
    name = service.spec.annotations.name
    try:
        with _display(quiet) as show, _Feed(client, service) as feed:
            _wait(feed, Watched(service), show, timeout)
    except KeyboardInterrupt:
        click.echo(
            f"\nOperation continuing in background.\nSee: swarmctl service ps {name}", err=True
        )
        raise SystemExit(INTERRUPTED) from None


def _wait(feed: "_Feed", watched: Watched, show: "_Display", timeout: float | None) -> None:
    stability = Stability(at_once=is_job(watched.service))
    started = _now()
    while True:
        for message in feed.take(REDRAW):
            if isinstance(message, Broken):
                watched.restart()
            else:
                watched.take(message)
        now = _now()
        stable = stability.update(watched.is_converged(), now)
        show(watched, stability, now)
        if stopped := watched.stopped():
            raise _stopped(watched, stopped)
        if stable:
            show.end(watched)
            return
        if timeout is not None and now - started >= timeout:
            raise _too_late(watched, timeout)


def _stopped(watched: Watched, why: str) -> SwarmError:
    what = f"service {watched.service.spec.annotations.name} did not converge"
    if watched.removed:
        return SwarmError(Code.REFUSED, what, why=why)
    return NotConvergedError(Code.REFUSED, what, why=why, remedy=how_to_go_on(watched.service))


def _too_late(watched: Watched, timeout: float) -> NotConvergedError:
    name = watched.service.spec.annotations.name
    return NotConvergedError(
        Code.DEADLINE,
        f"service {name} did not converge within {go_duration(timeout)}",
        why="; ".join(watched.reasons()) or "it has not been up for long enough",
        remedy=f"it goes on in the background; see: swarmctl service ps --no-trunc {name}",
    )


class Broken(SwarmError):
    """The stream broke; another one begins."""


class _Feed:
    """Messages of the watch, taken by a thread so that the wait can also look at the clock.

    A stream that breaks, as when its manager is lost, is begun anew for as long as PATIENCE, with
    another manager if there is one. Once it is left, it begins none.
    """

    def __init__(self, client: Client, service: objects_pb2.Service) -> None:
        self._messages: queue.Queue[control_pb2.WatchMessage | SwarmError] = queue.Queue()
        self._client = client
        self._request = control_pb2.WatchRequest(
            selectors=[
                Selector(kind=Selector.KIND_SERVICE, id=service.id),
                Selector(kind=Selector.KIND_TASK, service_id=service.id),
            ]
        )
        self._left = threading.Event()

    def __enter__(self) -> "_Feed":
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def take(self, limit: float) -> Iterator["control_pb2.WatchMessage | Broken"]:
        """What came within `limit` seconds; returns early once something did."""
        try:
            message = self._messages.get(timeout=limit)
            while True:
                if isinstance(message, SwarmError) and not isinstance(message, Broken):
                    raise message
                yield message
                message = self._messages.get_nowait()
        except queue.Empty:
            return

    def _read(self) -> None:
        heard = _now()
        while True:
            try:
                method = self._client.control.Watch
                for message in self._client.stream(method, self._request, "watching the service"):
                    self._messages.put(message)
                    heard = _now()
                broken = Broken(Code.UNAVAILABLE, "the watch of the service ended")
            except SwarmError as error:
                if error.code not in _BROKEN or _now() - heard >= PATIENCE:
                    self._messages.put(error)
                    return
                broken = Broken(error.code, error.what, why=error.why)
            self._messages.put(broken)
            if self._left.wait(REDRAW):
                return
            self._client.reconnect()


class _Display:
    """Shows nothing; what --quiet asks for."""

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, watched: Watched, stability: Stability, now: float) -> None:
        return None

    def end(self, watched: Watched) -> None:
        """Says that it is done."""


class _Log(_Display):
    """One timestamped line for each change: what a log file or a pipe gets."""

    def __init__(self) -> None:
        self._before: list[str] = []

    def __call__(self, watched: Watched, stability: Stability, now: float) -> None:
        after = progress.log_lines(watched)
        for line in progress.changes(self._before, after):
            self._say(line)
        self._before = after

    def end(self, watched: Watched) -> None:
        self._say(f"{watched.service.spec.annotations.name}: converged")

    def _say(self, line: str) -> None:
        moment = rfc3339(time.time())  # noqa: TID251 - the shell of a whole program
        click.echo(f"{moment} {line}", err=True)


class _Picture(_Display):
    """A picture that is redrawn in place, with the cursor hidden, which is shown at every end."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - costs start-up time
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._signals = handling(end, *ENDING)

    def __enter__(self) -> "_Display":
        self._signals.__enter__()
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._signals.__exit__(None, None, None)

    def __call__(self, watched: Watched, stability: Stability, now: float) -> None:
        from rich.text import Text  # noqa: PLC0415

        shown = progress.lines(watched, stability, now, self._console.width)
        self._live.update(Text("\n".join(shown)), refresh=True)


def _display(quiet: bool) -> _Display:
    if quiet:
        return _Display()
    return _Picture() if sys.stderr.isatty() else _Log()


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - the shell of a whole program
