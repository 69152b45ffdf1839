"""A manager of the simulated swarm: around the code that decides, what carries it out."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from api.errors import SwarmError
from api.times import timestamp
from api.v1 import objects_pb2, raft_pb2, types_pb2
from manager.dispatcher.assignments import Assignments
from manager.dispatcher.volumes import NodeVolumes
from manager.scheduler.decide import SchedulerLoop
from manager.state.changes import Batch, Event, batch, copy, decode, encode, update
from manager.state.store import Store
from manager.volumes.lapses import Lapses
from manager.volumes.leases import Hold, Leases
from manager.volumes.loop import VolumesLoop
from manager.volumes.order_book import OrderBook
from manager.volumes.orders import Report, outcome, settled
from manager.volumes.words import Words
from tests.sim.leasing.clock import Clock
from tests.support.builders import EPOCH
from tests.support.no_networks import no_networks

if TYPE_CHECKING:
    from tests.sim.leasing.agent import Agent
    from tests.sim.leasing.world import World

Node = objects_pb2.Node
Volume = objects_pb2.Volume

SILENCE = 7.0
"""Seconds without a heartbeat after which a node is declared down."""
VOLUME = "data"


class Manager:
    """One manager: a state that lags behind unless it leads, and what it counts of leases."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.clock = Clock(world, worst=1.0)
        self.store = Store()
        self.believes = False
        self.leases = Leases()
        self.lapses = Lapses(self.leases)
        self.words = Words()
        self.feeds: dict[str, tuple[Agent, Assignments]] = {}
        self.applied: dict[str, int] = {}
        self.heard: dict[str, float] = {}
        self.sessions: dict[str, int] = {}
        self.book = OrderBook(world.next_id)
        self._worked_at = 0

    def lead(self) -> None:
        """A term begins."""
        self.catch_up()
        self.believes = True
        self.feeds.clear()
        self.applied.clear()
        self.heard = dict.fromkeys((agent.name for agent in self.world.agents), self.clock())
        self._worked_at = 0
        self.leases.begin(self.store.all(Volume), self.clock())
        self.book = OrderBook(self.world.next_id)
        self.book.begin(self.store.all(Volume), self.store.all(Node))

    def catch_up(self) -> None:
        """Applies what is committed."""
        for index in range(self.store.version, len(self.world.log)):
            command = raft_pb2.Command.FromString(self.world.log[index])
            applied = self.store.apply(index + 1, timestamp(EPOCH), decode(command.batches))
            for event in applied.events:
                self._tell_book(event)
                if isinstance(event.object, Volume):
                    old = event.old if isinstance(event.old, Volume) else None
                    new = event.new if isinstance(event.new, Volume) else None
                    self.leases.observe(old, new, index + 1, self.clock())
                    for _, feed in self.feeds.values():
                        feed.observe_volume(event.object.id, self.clock())
        for agent, feed in self.feeds.values():
            agent.send(self, feed.flush(self.store.version))

    def _tell_book(self, event: Event) -> None:
        old, new = (e if isinstance(e, Node | Volume) else None for e in (event.old, event.new))
        self.book.observe(old, new)

    def propose(self, batches: Iterable[Batch]) -> None:
        """Commits, if it leads."""
        found = list(batches)
        if found and self is self.world.leader:
            command = raft_pb2.Command(batches=encode(found))
            self.world.log.append(command.SerializeToString())
            self.catch_up()

    def work(self) -> None:
        """Its duties: lapses, words, what is let go, and the scheduler."""
        if self is not self.world.leader:
            return
        if (due := self.lapses.due(self.clock())) is not None and due <= self.clock():
            self.propose(self.lapses.batches(self.store, self.lapses.take(self.clock())))
        self.propose(self.words.batches(self.store, self.words.take(self.clock())))
        for name, heard in self.heard.items():
            if heard + SILENCE <= self.clock():
                self._end(name)
                self._note(name, types_pb2.NODE_STATE_DOWN)
        for given in self.book.step(self.clock()).given:
            agent = self.feeds[given.node_id][0]
            agent.order(self, given)
        if self._worked_at == self.store.version:
            return
        self._worked_at = self.store.version
        for loop in (VolumesLoop(), SchedulerLoop()):
            loop.reset(self.store)
            more = True
            while more:
                decision = loop.decide(self.store, EPOCH)
                self.propose(decision.batches)
                more = decision.more and not decision.batches

    def _note(self, name: str, state: types_pb2.NodeState.ValueType) -> None:
        found = self.store.get(Node, name)
        if found is not None and found.status.state != state:
            changed = copy(found)
            changed.status.state = state
            self.propose([batch(update(changed))])

    def _end(self, name: str) -> None:
        """The session of this agent is over."""
        if self.feeds.pop(name, None) is not None:
            self.book.leaves(name, self.clock())

    # What agents call.

    def register(self, agent: "Agent") -> None:
        """As the dispatcher: a session begins with a read index, and the complete set."""
        if self is self.world.leader:
            self.heard[agent.name] = self.clock()
            self._end(agent.name)
            self._note(agent.name, types_pb2.NODE_STATE_READY)
            volumes = NodeVolumes(agent.name, lambda found: self.store.get(Volume, found))
            feed = Assignments(agent.name, lambda _: None, no_networks(), volumes=volumes)
            self.feeds[agent.name] = agent, feed
            self.applied[agent.name] = 0
            self.sessions[agent.name] = self.world.next_session()
            held = self.store.volumes_of_node(agent.name)
            messages = feed.complete([], self.store.version, volumes=held)
            agent.begin(self, self.sessions[agent.name], messages)
            self.book.listens(agent.name)

    def is_session(self, agent: "Agent", session: int) -> bool:
        """Whether it is the agent's present one."""
        return agent.name in self.feeds and self.sessions[agent.name] == session

    def heartbeat(
        self, agent: "Agent", session: int, applied: int, answer: Callable[[bool], None]
    ) -> None:
        """It came; the answer takes a read index."""
        if not self.believes or not self.is_session(agent, session):
            self.world.later(0.0, agent.leave, self)
            return
        came_at = self.heard[agent.name] = self.clock()
        self.applied[agent.name] = max(applied, self.applied[agent.name])

        def confirmed() -> None:
            if self.confirms() and self.is_session(agent, session):
                feed = self.feeds[agent.name][1]
                version = feed.confirmed(self.applied[agent.name], self.store.version)
                answer(self.leases.renew(agent.name, came_at, version))

        self.world.later(self.world.random.uniform(0.0, 0.3), confirmed)

    def confirms(self) -> bool:
        """A read index: nobody else leads."""
        return self is self.world.leader

    def report(self, agent: "Agent", order_id: str, report: Report) -> None:
        """A node has carried out an order, or its driver was not done in time."""
        if self is not self.world.leader:
            return
        try:
            order, alone = self.book.answered(agent.name, order_id, outcome(report), self.clock())
        except SwarmError:
            return
        volume = self.store.get(Volume, VOLUME)
        assert volume is not None
        change = settled(volume, order, report, alone=alone, fences=True)
        if change is not None:
            self.propose([change])
        elif not report.error:
            self.book.repeat(order, self.clock())

    def hear(self, agent: "Agent", holds: list[Hold], done: Callable[[], None]) -> None:
        """The node lets go of these."""
        if self is self.world.leader and agent.name in self.feeds:
            for hold in holds:
                self.leases.given_back(hold)
            self.words.add(holds)
            self.propose(self.words.batches(self.store, self.words.take(0.0)))
            done()
