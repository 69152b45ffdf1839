"""Log messages of tasks as lines: parts joined, prefixed, dated. Pure.

Forms are Docker's: `web.1.abcdef@host | line`, with -t the time first, with --raw the line alone.
What a task wrote stays as it is, byte for byte.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from api.times import nanos_of
from api.v1 import logs_pb2
from swarmctl.cli.units import rfc3339_nanos

STDERR = logs_pb2.LogOptions.STREAM_STDERR
MAX_LINE = 1 << 20
"""Bytes of one line that are kept while its end has not come; a longer line is cut in two."""


@dataclass(frozen=True)
class Line:
    """One line: what we put before it, what the task wrote, and whether to its standard error."""

    prefix: str
    data: bytes
    is_error: bool
    task_id: str


@dataclass
class Joiner:
    """Joins the parts of long lines, by task and stream."""

    prefix: Callable[[logs_pb2.LogMessage], str]
    timestamps: bool = False
    _open: dict[tuple[str, int], logs_pb2.LogMessage] = field(default_factory=dict)

    def take(self, message: logs_pb2.LogMessage) -> Line | None:
        """The line that the message completes, or None if it goes on."""
        key = (message.task_id, message.stream)
        begun = self._open.pop(key, None)
        if begun is not None:
            begun.data += message.data
        whole = begun or message
        if message.partial and len(whole.data) < MAX_LINE:
            self._open[key] = whole
            return None
        return self._line(whole)

    def rest(self) -> list[Line]:
        """The beginnings of lines whose end never came."""
        return [self._line(message) for message in self._open.values()]

    def _line(self, message: logs_pb2.LogMessage) -> Line:
        moment = f"{rfc3339_nanos(nanos_of(message.at))} " if self.timestamps else ""
        prefix = moment + self.prefix(message)
        return Line(prefix, message.data, message.stream == STDERR, message.task_id)


def padded(name: str, widths: dict[str, int]) -> str:
    """The prefix of a name, padded to the longest so far, so that the lines stand in a column."""
    widths["longest"] = max(widths.get("longest", 0), len(name))
    return f"{name:<{widths['longest']}}    | "
