"""How far the lines of one node came, so that it can be asked again without a line lost or doubled.

Lines of a task come in the order of its log. Several may bear one time, since what a container
writes at once is stamped once; so the last time is kept with how many lines of it came. Pure.
"""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from api.times import at_nanos, nanos_of
from api.v1 import logs_pb2


class Seen:
    """The last line of each task, and what is yet to be skipped of a second telling."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}
        self._skip: dict[str, tuple[int, int]] = {}

    def resume(self) -> Timestamp | None:
        """The node tells again: from when on it must; None from the beginning."""
        self._skip = dict(self._last)
        if not self._last:
            return None
        return at_nanos(min(stamp for stamp, _ in self._last.values()))

    def fresh(self, lines: Iterable[logs_pb2.LogMessage]) -> list[logs_pb2.LogMessage]:
        """Those of the lines that did not come before."""
        return [line for line in lines if not self._skips(line)]

    def took(self, lines: Iterable[logs_pb2.LogMessage]) -> None:
        """These lines have come."""
        for line in lines:
            stamp = nanos_of(line.at)
            last, count = self._last.get(line.task_id, (stamp, 0))
            self._last[line.task_id] = (stamp, count + 1 if stamp == last else 1)

    def _skips(self, line: logs_pb2.LogMessage) -> bool:
        target = self._skip.get(line.task_id)
        if target is None:
            return False
        stamp = nanos_of(line.at)
        last, count = target
        if stamp < last:
            return True
        if stamp == last and count:
            self._skip[line.task_id] = (last, count - 1)
            return True
        del self._skip[line.task_id]
        return False
