"""Watching: matching, order, resync of a slow reader."""

from api.v1 import objects_pb2
from manager.state.changes import Event
from manager.state.watch import WatchHub


def event(object_id: str) -> Event:
    return Event(None, objects_pb2.Task(id=object_id))


class Reader:
    def __init__(self, hub: WatchHub, **options: object) -> None:
        self.woken = 0
        self.subscription = hub.subscribe(self._wake, **options)  # type: ignore[arg-type]

    def _wake(self) -> None:
        self.woken += 1

    def ids(self) -> list[tuple[int, list[str]]] | None:
        commits = self.subscription.take()
        if commits is None:
            return None
        return [(c.version, [e.object.id for e in c.events]) for c in commits]


def test_commits_arrive_in_order_and_once() -> None:
    hub = WatchHub()
    reader = Reader(hub)
    hub.publish(1, [event("a"), event("b")])
    hub.publish(2, [event("c")])
    assert reader.ids() == [(1, ["a", "b"]), (2, ["c"])]
    assert reader.ids() == []


def test_readers_are_woken_in_the_order_of_their_coming() -> None:
    hub = WatchHub()
    woken: list[int] = []
    for number in range(20):
        hub.subscribe(lambda number=number: woken.append(number))  # type: ignore[misc]
    hub.publish(1, [event("a")])
    assert woken == list(range(20))


def test_only_what_matches_wakes_a_reader() -> None:
    hub = WatchHub()
    reader = Reader(hub, match=lambda e: e.object.id == "b")
    hub.publish(1, [event("a")])
    assert reader.woken == 0
    hub.publish(2, [event("a"), event("b")])
    assert (reader.woken, reader.ids()) == (1, [(2, ["b"])])


def test_a_reader_that_falls_behind_is_told_to_start_anew() -> None:
    hub = WatchHub()
    reader = Reader(hub, limit=2)
    hub.publish(1, [event("a"), event("b")])
    hub.publish(2, [event("c")])
    hub.publish(3, [event("d")])
    assert reader.ids() is None
    hub.publish(4, [event("e")])
    assert reader.ids() == [(4, ["e"])]


def test_a_slow_reader_does_not_hold_up_another() -> None:
    hub = WatchHub()
    slow, quick = Reader(hub, limit=1), Reader(hub)
    hub.publish(1, [event("a"), event("b")])
    assert slow.ids() is None
    assert quick.ids() == [(1, ["a", "b"])]


def test_a_reader_that_left_hears_nothing() -> None:
    hub = WatchHub()
    reader = Reader(hub)
    hub.unsubscribe(reader.subscription)
    hub.publish(1, [event("a")])
    hub.resync()
    assert (reader.woken, reader.ids()) == (0, [])


def test_a_replaced_store_makes_every_reader_start_anew() -> None:
    hub = WatchHub()
    reader = Reader(hub)
    hub.publish(1, [event("a")])
    hub.resync()
    assert reader.ids() is None
