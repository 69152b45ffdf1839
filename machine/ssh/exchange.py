"""One command over one channel: both outputs are read while the input is written, until a limit.

Blocks, and so runs in a thread of its own; `stop` ends it from any other.
"""

import select
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import paramiko

from hostkit import clock
from hostkit.conversation import Source
from machine.lines import Stream
from machine.ssh.transport import Transport

_PIECE = 1 << 15
_TOLD = 1 << 18
"""Bytes of input between two words about how far it has come."""
_LOOK = 0.2
"""Seconds between two looks at the time, and at whether to stop."""
_FULL = 0.02
"""The same while the host takes no input; nothing tells when it does again."""
_QUIET, _MOST = 1.0, 30.0
"""Seconds after a command has ended, when what it started holds its outputs: of silence; or at
all, in which a slow way carries what was on it."""


class CutError(Exception):
    """The command's end is not known: the channel went away under it."""


class RefusedError(Exception):
    """The host opens no more sessions; nothing was run, or read from the input."""


class UnopenedError(Exception):
    """The host did not say in time whether it opens a session; nothing was run."""


class LateError(Exception):
    """The time is over."""


@dataclass
class Exchange:
    """What goes in, what came out. `tell` gets lines of either output, `sent` bytes so far."""

    command: str
    feed: Source | None
    deadline: float  # of the monotonic clock
    limit: int
    tell: Callable[[list[str]], None] | None = None
    sent: Callable[[int], None] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    now: clock.Clock = clock.monotonic

    def __post_init__(self) -> None:
        self.out = Stream(self.limit)
        self.err = Stream(self.limit)
        self._pending = b""
        self._written = self._told = 0

    def run(self, transport: Transport) -> int:
        """The exit status, or minus the signal. Raises the errors above, and paramiko's."""
        channel = _opened(transport)
        try:
            channel.exec_command(self.command)
            channel.setblocking(False)
            code = self._converse(channel, transport.sending)
        finally:
            ended_by = transport.signals.pop(channel.chanid, None)
            channel.close()
        if ended_by is not None:
            return -ended_by
        if code < 0:
            raise CutError
        return code

    def stop(self) -> None:
        """Has `run` raise LateError soon."""
        self.stopped.set()

    def _converse(self, channel: paramiko.Channel, sending: threading.Lock) -> int:
        ready = select.poll()
        ready.register(channel.fileno(), select.POLLIN)
        heard = self.now()
        ended = 0.0
        while True:
            # Looked at before the outputs are: what was said before it is in them by now.
            all_said = channel.closed or (channel.eof_received and channel.status_event.is_set())
            moved = self._hear(channel)
            now = self.now()
            heard = now if moved else heard
            ended = ended or (now if channel.status_event.is_set() else 0.0)
            # What was said before the end may have come since the outputs were looked at.
            patient = not ended or (now - max(heard, ended) < _QUIET and now - ended < _MOST)
            if not moved and (all_said or not patient):
                break
            with sending:
                fed = self._write(channel)
            if self.stopped.is_set() or self.now() > self.deadline:
                raise LateError
            if not moved and not fed:
                self._wait(channel, ready)
        self._say([*self.out.last(), *self.err.last()])
        return channel.exit_status

    def _wait(self, channel: paramiko.Channel, ready: select.poll) -> None:
        """Until something comes, or it is time to look."""
        pause = _LOOK if self.feed is None else _FULL
        if channel.eof_received:  # paramiko's descriptor is ready for ever now
            channel.status_event.wait(pause)
        else:
            ready.poll(1000 * pause)

    def _hear(self, channel: paramiko.Channel) -> bool:
        """Takes what has come; false if nothing has."""
        heard = False
        for there, take, stream in (
            (channel.recv_ready, channel.recv, self.out),
            (channel.recv_stderr_ready, channel.recv_stderr, self.err),
        ):
            if there():
                piece = take(_PIECE)
                stream.keep(piece)
                if self.tell is not None:
                    self._say(stream.lines(piece))
                heard = True
        return heard

    def _write(self, channel: paramiko.Channel) -> bool:
        """Sends as much as the host takes; false if it took nothing."""
        if self.feed is None or not channel.send_ready():
            return False
        self._pending = self._pending or self.feed.read(_PIECE)
        if not self._pending:
            self.feed = None
            if self.sent is not None and self._written > self._told:
                self.sent(self._written)
            channel.shutdown_write()
            return True
        try:
            taken = channel.send(self._pending)
        except OSError:
            taken = 0
        if taken == 0:  # the command has ended, or wants no more
            self.feed = None
            return True
        self._pending = self._pending[taken:]
        self._written += taken
        if self.sent is not None and self._written - self._told >= _TOLD:
            self._told = self._written
            self.sent(self._written)
        return True

    def _say(self, lines: list[str]) -> None:
        if self.tell is not None and lines:
            self.tell(lines)


def _opened(transport: Transport) -> paramiko.Channel:
    try:
        return transport.open_session()
    except paramiko.SSHException as error:
        # Of several that are refused at once, paramiko has the cause for one only.
        if "imeout" in str(error):
            raise UnopenedError from None
        if transport.is_active():
            raise RefusedError(transport.last_refusal or str(error)) from None
        raise
