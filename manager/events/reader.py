"""One reader of events: his place in the log, and what he is to be told next. Pure.

He goes through the history at his own pace. What was forgotten before he came to it he is told of
as a gap, with the place from which on all is known again.
"""

from collections.abc import Sequence

from api.errors import invalid
from api.times import NANOS
from api.v1 import events_pb2, objects_pb2
from manager.events.history import LAST, History, Kept, Position
from manager.events.kinds import Happening
from manager.events.selection import Selection
from manager.state.store import View

CHUNK = 500
"""Events that are looked at for one message: it stays far below what gRPC takes."""
_FORGOTTEN = "this manager remembers the last events alone, and none of before its last snapshot"
_ANOTHER = "the log does not reach so far: the swarm was restored, or founded anew"

Message = events_pb2.EventsMessage


class Reader:
    """`trusted`: see Selection; `stale`: the state may be old.

    SwarmError as Selection, and INVALID if `since` lies after `until`.
    """

    def __init__(
        self,
        history: History,
        view: View,
        request: events_pb2.EventsRequest,
        *,
        trusted: bool,
        stale: bool,
    ) -> None:
        self._history, self._view = history, view
        self._selection = Selection(request.filters, trusted=trusted)
        self._since = request.since.ToNanoseconds()
        self._until = request.until.ToNanoseconds() if request.HasField("until") else None
        if self._until is not None and self._since > self._until:
            raise invalid("since", "lies after until", remedy="swap the two")
        self._end: Position | None = None  # of the log as it stood when `until` came
        self._gap: events_pb2.EventsGap | None = None
        self._position = self._start(request, stale=stale)
        self._passed = 0
        self.has_more = True
        """Whether there may be more to tell at once."""

    @property
    def is_done(self) -> bool:
        """Whether all that was asked for has been told."""
        return self._end is not None and self._position >= self._end

    def left(self, now: float) -> float | None:
        """Seconds until what happens is not asked for any more; None: it always is."""
        if self._until is None or self._end is not None:
            return None
        return max(0.0, self._until / NANOS - now)

    def first(self) -> Message:
        """Says that the stream has begun, and where."""
        return Message(gap=self._gap, position=_wire(self._position))

    def next(self, now: float) -> Message | None:
        """What is to be told; None if that is nothing. `now`: seconds since the epoch."""
        if self.left(now) == 0.0:
            self._end = Position(self._view.version, LAST)
        history = self._history
        if self._position < history.begin:
            self._position, self.has_more = history.begin, True
            return Message(gap=_gap(history.begin, _FORGOTTEN), position=_wire(self._position))
        found = history.after(self._position, CHUNK)
        self.has_more = len(found) == CHUNK
        self._position = found[-1].position if self.has_more else max(self._position, history.end)
        events = self._told(found)
        self._passed += len(found)
        # A reader who is told nothing for long shall not be taken for one who fell behind.
        if not events and self._passed < CHUNK:
            return None
        self._passed = 0
        return Message(events=events, position=_wire(self._position))

    def _start(self, request: events_pb2.EventsRequest, *, stale: bool) -> Position:
        history, present = self._history, Position(self._view.version, LAST)
        if request.HasField("after"):
            after = Position(request.after.index, request.after.sequence)
            if after <= present or stale:
                return after
            self._gap = _gap(present, _ANOTHER)
            return present
        if request.HasField("since"):
            if not history.reaches(self._since):
                self._gap = _gap(history.begin, _FORGOTTEN)
            return history.begin
        return present if self._until is None else history.begin

    def _told(self, found: Sequence[Kept]) -> list[events_pb2.Event]:
        told = []
        for kept in found:
            if kept.at < self._since or (self._until is not None and kept.at > self._until):
                continue
            happening = self._placed(kept.happening)
            if self._selection(happening):
                told.append(_event(kept, happening))
        return told

    def _placed(self, happening: Happening) -> Happening:
        """With the name of the node that it tells of, while that is known."""
        node_id = happening.attributes.get("node.id")
        node = self._view.get(objects_pb2.Node, node_id) if node_id else None
        if node is None:
            return happening
        attributes = {**happening.attributes, "node": node.description.hostname}
        return happening._replace(attributes=attributes)


def _event(kept: Kept, happening: Happening) -> events_pb2.Event:
    event = events_pb2.Event(
        type=happening.kind,
        action=happening.action,
        id=happening.id,
        attributes=happening.attributes,
        position=_wire(kept.position),
    )
    event.at.FromNanoseconds(kept.at)
    return event


def _wire(position: Position) -> events_pb2.EventPosition:
    return events_pb2.EventPosition(index=position.index, sequence=position.sequence)


def _gap(begin: Position, why: str) -> events_pb2.EventsGap:
    return events_pb2.EventsGap(begin=_wire(begin), why=why)
