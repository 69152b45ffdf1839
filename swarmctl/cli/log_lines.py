"""Log messages of tasks as lines of text: parts joined, prefixed, dated. Pure.

Forms are Docker's: `web.1.abcdef@host | line`, with -t the time first, with --raw the line alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from api.times import seconds_of
from api.v1 import logs_pb2
from swarmctl.cli.units import rfc3339

STDERR = logs_pb2.LogOptions.STREAM_STDERR
MAX_LINE = 1 << 20
"""Bytes of one line that are kept while its end has not come; a longer line is cut in two."""


@dataclass(frozen=True)
class Line:
    """One line and whether the task wrote it to its standard error."""

    text: str
    is_error: bool
    task_id: str


@dataclass
class Joiner:
    """Joins the parts of long lines, by task and stream."""

    prefix: Callable[[logs_pb2.LogMessage], str]
    timestamps: bool = False
    _open: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def take(self, message: logs_pb2.LogMessage) -> Line | None:
        """The line that the message completes, or None if it goes on."""
        key = (message.task_id, message.stream)
        data = self._open.pop(key, b"") + message.data
        if message.partial and len(data) < MAX_LINE:
            self._open[key] = data
            return None
        moment = f"{rfc3339(seconds_of(message.at))} " if self.timestamps else ""
        text = moment + self.prefix(message) + data.decode(errors="replace")
        return Line(text, message.stream == STDERR, message.task_id)

    def rest(self) -> list[bytes]:
        """Beginnings of lines whose end never came."""
        return list(self._open.values())


def padded(name: str, widths: dict[str, int]) -> str:
    """The prefix of a name, padded to the longest so far, so that the lines stand in a column."""
    widths["longest"] = max(widths.get("longest", 0), len(name))
    return f"{name:<{widths['longest']}}    | "
