"""One reader: where he begins, what he is told, and where he goes on elsewhere."""

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import events_pb2
from api.v1.objects_pb2 import Operator
from manager.events.history import LAST, History
from manager.events.reader import CHUNK, Reader
from manager.state.changes import batch, create, update
from manager.state.store import Store
from tests.support import builders

Request = events_pb2.EventsRequest
Message = events_pb2.EventsMessage
NOW = 1000.0


class Manager:
    """A store and a history that remembers so much."""

    def __init__(self, limit: int = 10_000) -> None:
        self.store = Store()
        self.history = History(limit=limit)

    def write(self, *names: str, at: float = NOW) -> None:
        """One command that makes operators."""
        batches = [batch(create(Operator(id=name, name=name))) for name in names]
        self.apply(*batches, at=at)

    def apply(self, *batches: object, at: float = NOW) -> None:
        index = self.store.version + 2  # as where nodes come and go in between
        applied = self.store.apply(index, timestamp(at), batches)  # type: ignore[arg-type]
        self.history.applied(index, timestamp(at), applied.events)
        self.history.settle()

    def read(self, request: Request | None = None, *, stale: bool = False) -> Reader:
        return Reader(self.history, self.store, request or Request(), trusted=True, stale=stale)


def since(moment: float, until: float | None = None, *keys: str) -> Request:
    request = Request(since=timestamp(moment))
    if until is not None:
        request.until.CopyFrom(timestamp(until))
    for key in keys:
        name, _, value = key.partition("=")
        request.filters.add(key=name, values=[value])
    return request


def behind(message: Message) -> Request:
    return Request(after=message.position)


def rest(reader: Reader, now: float = NOW) -> list[Message]:
    """All that it is told now."""
    messages = []
    while True:
        message = reader.next(now)
        if message is not None:
            messages.append(message)
        if not reader.has_more:
            return messages


def ids(messages: list[Message]) -> list[str]:
    return [event.id for message in messages for event in message.events]


def test_without_a_time_only_what_comes_is_told() -> None:
    manager = Manager()
    manager.write("a")
    reader = manager.read()
    first = reader.first()
    assert (first.position.index, first.HasField("gap")) == (2, False)
    assert rest(reader) == []
    manager.write("b", "c", at=5.5)
    (message,) = rest(reader)
    assert ids([message]) == ["b", "c"]
    assert [each.position.sequence for each in message.events] == [1, 2]
    assert message.events[0].at == timestamp(5.5)
    assert (message.position.index, message.position.sequence) == (4, LAST)
    assert reader.left(NOW) is None
    assert not reader.is_done


def test_a_time_selects_what_was() -> None:
    manager = Manager()
    for at in range(10, 60, 10):
        manager.write(f"{at}", at=at)
    assert ids(rest(manager.read(since(30)))) == ["30", "40", "50"]
    reader = manager.read(since(20, 40))
    assert ids(rest(reader)) == ["20", "30", "40"]
    assert reader.is_done
    assert ids(rest(manager.read(Request(until=timestamp(20))))) == ["10", "20"]


def test_a_reader_is_done_once_its_time_has_come_and_all_before_is_told() -> None:
    manager = Manager()
    manager.write("a")
    reader = manager.read(since(NOW, NOW + 5))
    assert ids(rest(reader, NOW)) == ["a"]
    assert (reader.is_done, reader.left(NOW)) == (False, 5.0)
    applied = manager.store.apply(9, timestamp(NOW + 4), [batch(create(Operator(id="b")))])
    manager.history.applied(9, timestamp(NOW + 4), applied.events)
    assert rest(reader, NOW + 5) == []
    assert (reader.is_done, reader.left(NOW + 5)) == (False, None)
    manager.history.settle()
    assert ids(rest(reader, NOW + 6)) == ["b"]
    assert reader.is_done


def test_a_time_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SwarmError, match="lies after until") as refused:
        Manager().read(since(5, 4))
    assert refused.value.code is Code.INVALID


def test_what_is_earlier_than_what_is_known_is_said_to_be_missing() -> None:
    manager = Manager(limit=2)
    for at in range(10, 50, 10):
        manager.write(f"{at}", at=at)
    reader = manager.read(since(20))
    gap = reader.first().gap
    assert gap.begin.index == 4
    assert "remembers the last events alone" in gap.why
    assert ids(rest(reader)) == ["30", "40"]
    assert not manager.read(since(21)).first().HasField("gap")
    assert not manager.read(Request(until=timestamp(99))).first().HasField("gap")


def test_a_reader_that_falls_behind_is_told_so_and_goes_on() -> None:
    manager = Manager(limit=2)
    reader = manager.read()
    for name in "abcd":
        manager.write(name)
    gap, message = rest(reader)
    assert (gap.gap.begin.index, gap.position.index) == (4, 4)
    assert ids([message]) == ["c", "d"]


def test_a_snapshot_that_replaces_the_state_leaves_a_gap() -> None:
    manager, other = Manager(), Manager()
    reader = manager.read()
    manager.write("a")
    rest(reader)
    for name in "abc":
        other.write(name)
    manager.store.restore(other.store.capture().encode())
    manager.history.replaced(manager.store.version)
    (message,) = rest(reader)
    assert message.gap.begin.index == 6
    manager.write("d")
    assert ids(rest(reader)) == ["d"]


def test_a_snapshot_that_holds_no_more_leaves_none() -> None:
    manager = Manager()
    manager.write("a")
    reader = manager.read(Request(until=timestamp(NOW + 9)))
    assert ids(rest(reader)) == ["a"]
    manager.history.replaced(manager.store.version)
    assert rest(reader) == []


def test_a_reader_goes_on_at_any_manager_wherever_it_was_cut_off() -> None:
    """Whatever the messages were that came through."""
    one, other = Manager(), Manager()
    for each in (one, other):
        for number in range(7):
            each.write(*(f"{number}.{n}" for n in range(400)))
    messages = rest(one.read(since(0)))
    assert len(messages) == 6
    for count in range(len(messages) + 1):
        heard = [one.read(since(0)).first(), *messages[:count]]
        going_on = rest(other.read(behind(heard[-1])))
        assert ids(heard + going_on) == ids(messages)
    assert len(messages[0].events) == CHUNK


def test_a_reader_that_goes_on_is_still_told_only_of_the_time_he_asked_for() -> None:
    manager = Manager()
    for at in (10, 20, 30):
        manager.write(f"{at}", at=at)
    request = since(20)
    request.after.CopyFrom(manager.read(request).first().position)
    assert ids(rest(manager.read(request))) == ["20", "30"]


def test_a_place_before_all_that_is_known_is_a_gap() -> None:
    manager = Manager(limit=2)
    for name in "abcd":
        manager.write(name)
    gap, message = rest(manager.read(Request(after=events_pb2.EventPosition(index=2))))
    assert gap.HasField("gap")
    assert ids([message]) == ["c", "d"]


def test_a_place_beyond_the_log_is_one_of_another_log() -> None:
    manager = Manager()
    manager.write("a")
    reader = manager.read(Request(after=events_pb2.EventPosition(index=99)))
    assert "restored, or founded anew" in reader.first().gap.why
    manager.write("b")
    assert ids(rest(reader)) == ["b"]


def test_a_manager_that_may_be_behind_waits_for_the_place() -> None:
    manager = Manager()
    manager.write("a")
    reader = manager.read(Request(after=events_pb2.EventPosition(index=4, sequence=1)), stale=True)
    assert not reader.first().HasField("gap")
    manager.write("known")
    assert rest(reader) == []
    manager.write("new")
    assert ids(rest(reader)) == ["new"]


def test_who_is_told_nothing_for_long_still_hears_how_far_he_is() -> None:
    manager = Manager()
    reader = manager.read(since(0, None, "type=node"))
    for number in range(CHUNK):
        manager.write(f"{number}")
        told = rest(reader)
        assert bool(told) == (number == CHUNK - 1)
    assert told[0].position.index == manager.store.version


def test_a_task_tells_the_name_of_its_node_while_that_is_known() -> None:
    manager = Manager()
    manager.apply(batch(create(builders.node("n1"))))
    manager.apply(batch(create(builders.task("t1", node_id="n1"))))
    manager.apply(batch(create(builders.task("t2", node_id="gone"))))
    (message,) = rest(manager.read(since(0, None, "type=task")))
    assert [each.attributes.get("node") for each in message.events] == ["n1", None]
    assert ids(rest(manager.read(since(0, None, "type=task", "node=n1")))) == ["t1"]


def test_an_update_is_told_with_what_changed() -> None:
    manager = Manager()
    manager.apply(batch(create(builders.service(replicas=1))))
    changed = builders.service(replicas=2)
    changed.meta.version = manager.store.version
    manager.apply(batch(update(changed)))
    (message,) = rest(manager.read(since(0)))
    assert [(e.type, e.action) for e in message.events] == [
        ("service", "create"),
        ("service", "update"),
    ]
    assert message.events[1].attributes["replicas.new"] == "2"
