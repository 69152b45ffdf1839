"""Several managers: each tells the same, and a reader goes from one to the next."""

import asyncio
from pathlib import Path
from typing import Any, cast

from api.v1 import events_pb2
from api.v1.objects_pb2 import Operator
from manager.events.history import START, History
from manager.events.reader import Reader
from manager.state.changes import batch, copy, create, update
from manager.state.machine import LogProposer, StoreMachine
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.support.node_group import Group, group

ALL = (1, 2, 3)
Message = events_pb2.EventsMessage


class Manager:
    """A store and a history, as one run of a manager has them."""

    def __init__(self) -> None:
        self.store, self.history = Store(), History()
        self.machine = StoreMachine(self.store, WatchHub(), self.history)

    def read(self, request: events_pb2.EventsRequest) -> list[Message]:
        """All that a reader is told now."""
        self.history.settle()
        reader = Reader(self.history, self.store, request, trusted=True, stale=False)
        messages = [reader.first()]
        while reader.has_more:
            message = reader.next(0.0)
            messages += [message] if message is not None else []
        return messages


class Managers:
    """The managers of a group by raft id."""

    def __init__(self, g: Group) -> None:
        self.group = g
        self.by_id: dict[int, Manager] = {}
        self._now = 1000.0

    async def restart(self, *raft_ids: int) -> None:
        for each in raft_ids:
            await self.group.stations[each].stop()
            self.by_id[each] = Manager()
            machine: Any = self.by_id[each].machine
            self.group.stations[each].start(ALL, machine=machine)
        await self.group.tick_until(lambda: bool(self.group.leaders))

    async def write(self, *names: str) -> None:
        """Creates operators, and renews each, in a command each."""
        self._now += 1.5
        proposer = LogProposer(self.group.leader, lambda: self._now)
        await self.group.done(
            proposer.propose([batch(create(Operator(id=n, name=n))) for n in names])
        )
        store = self.by_id[self.group.leader.raft_id].store
        found = [copy(cast(Operator, store.get(Operator, name))) for name in names]
        await self.group.done(proposer.propose([batch(update(each)) for each in found]))

    async def agreed(self) -> None:
        await self.group.tick_until(lambda: len({node.applied for node in self.group.running}) == 1)


def heard(messages: list[Message]) -> list[tuple[str, str]]:
    return [(event.id, event.action) for message in messages for event in message.events]


def expected(*names: str) -> list[tuple[str, str]]:
    """In commands of two names each."""
    pairs = zip(names[::2], names[1::2], strict=True)
    return [(name, what) for pair in pairs for what in ("create", "update") for name in pair]


def test_every_manager_tells_the_same_also_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            managers = Managers(g)
            await managers.restart(*ALL)
            await managers.write("a", "b")
            await managers.restart(g.followers[0].raft_id)
            await managers.write("c", "d")
            await managers.agreed()
            for each in managers.by_id.values():
                each.history.settle()
            (one, *others) = [m.history.after(START, 99) for m in managers.by_id.values()]
            assert len(one) == 8
            assert all(other == one for other in others)
            assert len({kept.position for kept in one}) == 8

    asyncio.run(scenario())


def test_a_reader_misses_nothing_and_hears_nothing_twice_when_the_leader_dies(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with group(tmp_path) as g:
            managers = Managers(g)
            await managers.restart(*ALL)
            request, messages = events_pb2.EventsRequest(), list[Message]()
            request.since.SetInParent()
            for number in range(3):
                leader = g.leader.raft_id
                await managers.write(f"{number}a", f"{number}b")
                came = managers.by_id[leader].read(request)
                # Cut off in the middle: the last message was not received.
                messages += came[:-1] if number == 1 else came
                request.after.CopyFrom(messages[-1].position)
                await g.stations[leader].stop()
                await g.tick_until(lambda: bool(g.leaders))
                await managers.restart(leader)
            messages += managers.by_id[g.leader.raft_id].read(request)
            assert heard(messages) == expected("0a", "0b", "1a", "1b", "2a", "2b")
            assert not any(message.HasField("gap") for message in messages)

    asyncio.run(scenario())


def test_a_manager_that_got_a_snapshot_says_what_it_does_not_know(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with group(tmp_path, interval=20) as g:
            managers = Managers(g)
            await managers.restart(*ALL)
            for number in range(40):
                await managers.write(f"{number}a", f"{number}b")
            late = g.followers[0].raft_id
            await managers.restart(late)
            await managers.agreed()
            request = events_pb2.EventsRequest()
            request.since.SetInParent()
            first, *rest = managers.by_id[late].read(request)
            whole = heard(managers.by_id[g.leader.raft_id].read(request))
            assert first.gap.begin.index > 0
            known = heard(rest)
            assert 0 < len(known) < len(whole)
            assert whole[-len(known) :] == known

    asyncio.run(scenario())
