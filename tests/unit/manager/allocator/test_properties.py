"""Whatever comes and goes, in whatever order, under however many leaders: nothing is held twice,
nothing is lost, and what a leader that followed every event sets aside, a fresh one does too.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from api import states
from api.v1 import objects_pb2
from manager.allocator.decide import AllocatorLoop
from manager.control.networks import gone_with
from manager.dispatcher.rests import Rests
from manager.state.changes import Batch, Change, copy, create, delete, update
from tests.sim.addresses import AddressWatch
from tests.support.builders import EPOCH, cluster, join, network, node, publish, service, task
from tests.support.sealed_store import SealedStore

Service, Task = objects_pb2.Service, objects_pb2.Task


class Bench:
    """A store whose every change is watched, and the allocator of the present leader."""

    def __init__(self) -> None:
        self.store = SealedStore()
        self.watch = AddressWatch(self.store)
        self.loop = AllocatorLoop()
        self.loop.reset(self.store)
        self.made = 0
        for obj in (
            cluster(),
            network("ingress", ingress=True),
            network("front", "10.0.1.0/28", ipv6=True),
            network("back"),
            node("n1"),
        ):
            self.write(create(obj))

    def write(self, *changes: Change) -> bool:
        return self.apply([Batch(tuple(changes))]) == [None]

    def apply(self, batches: list[Batch]) -> list[object]:
        applied = self.store.write(batches, EPOCH)
        for event in applied.events:
            self.watch.check(event)
            if type(event.object) in self.loop.kinds:
                self.loop.observe(event)
        return list(applied.results)

    def act(self, kind: str, number: int) -> None:
        getattr(self, f"_{kind}")(number)

    def _decide(self, number: int) -> None:
        for each in self.loop.decide(self.store, EPOCH).batches:
            if number % 5 == 0 or self.apply([each]) != [None]:
                self.loop.refused(each)

    def _lead(self, _: int) -> None:
        self.loop = AllocatorLoop()
        self.loop.reset(self.store)

    def _serve(self, number: int) -> None:
        self.made += 1
        made = service(f"s{self.made}")
        join(made.spec, *("front", "back")[: number % 3])
        if number % 2:
            publish(made.spec, 80, 8080 if number % 4 == 1 else 0)
        self.write(create(made))

    def _run(self, number: int) -> None:
        of = self._some(Service, number)
        if of is not None:
            self.made += 1
            fresh = task(f"t{self.made:04}", of.id, state=states.NEW, spec=of.spec.task)
            fresh.published = bool(of.spec.endpoint.ports)
            self.write(create(fresh))

    def _end(self, number: int) -> None:
        found = self._some(Task, number)
        if found is not None and not states.is_terminal(found):
            ended = copy(found)
            ended.status.state = states.FAILED
            self.write(update(ended))

    def _drop(self, number: int) -> None:
        found = self._some(Service, number)
        if found is not None:
            self.write(delete(found), *gone_with(self.store, found))

    def _confirm(self, number: int) -> None:
        rests = Rests(lambda: 0)
        rests.begin(self.store)
        self.apply(list(rests.batches(self.store, self.store.version - number % 4)))

    def _some(self, kind: type[Any], number: int) -> Any:
        found = list(self.store.all(kind))
        return found[number % len(found)] if found else None

    def settle(self) -> None:
        for _ in range(60):
            self._decide(1)
            self._confirm(0)


ACTS = st.sampled_from(["decide", "lead", "serve", "run", "run", "run", "end", "drop", "confirm"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ACTS, st.integers(0, 1000)), max_size=60))
def test_nothing_is_held_twice_and_nothing_is_lost(acts: list[tuple[str, int]]) -> None:
    bench = Bench()
    for kind, number in acts:
        bench.act(kind, number)
    bench.settle()
    fresh = AllocatorLoop()
    fresh.reset(bench.store)
    assert fresh.decide(bench.store, EPOCH).batches == []
    for found in bench.store.all(objects_pb2.Network):
        room = bench.loop._book.room(found.id)
        again = fresh._book.room(found.id)
        assert room is not None
        assert again is not None
        assert room.usage() == again.usage()
        assert not found.resting
    waiting = [t for t in bench.store.all(Task) if t.status.state == states.NEW]
    assert all(each.status.error or each.desired_state > states.COMPLETE for each in waiting)
    bench.store.check_seals()
