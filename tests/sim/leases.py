"""Leases of one volume among nodes and managers whose clocks differ, in a seeded simulation.

What runs is the code that decides: store, scheduler, leases, what a node is told. Simulated are
time, messages, and who leads; harsher than Raft: a former leader may believe for half a minute that
it leads still, sees nothing new, and answers. Agents keep to the rules of the contract
(docs/decisions/0031-leases-of-volumes.md) by their own clocks, of which each runs at its own pace.
In every other run the storage lets nodes in one by one, and can shut them out; what it was told to
do it may do much later.
"""

from collections.abc import Callable, Collection, Iterable
from heapq import heappop, heappush
from random import Random

from api import states
from api.errors import SwarmError
from api.times import timestamp
from api.v1 import dispatcher_pb2, objects_pb2, raft_pb2, specs_pb2, types_pb2
from manager.dispatcher.assignments import Assignments
from manager.dispatcher.volumes import NodeVolumes
from manager.scheduler.decide import SchedulerLoop
from manager.state.changes import Batch, Event, batch, copy, create, decode, encode, update
from manager.state.store import Store
from manager.volumes.lapses import Lapses
from manager.volumes.leases import Hold, Leases
from manager.volumes.loop import VolumesLoop
from manager.volumes.order_book import Given, OrderBook
from manager.volumes.orders import OPEN, Order, Report, settled
from manager.volumes.words import Words
from tests.support.builders import ACTIVE, EPOCH, PAUSE, node, task
from tests.support.no_networks import no_networks

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Node = objects_pb2.Node
Task = objects_pb2.Task
Volume = objects_pb2.Volume

SKEW = 0.04
"""By how much the pace of a clock may differ: that of two of them by less than the margin."""
PERIODS = (0.5, 1.0, 2.0)
"""Seconds between the heartbeats of a node; of each run another."""
SILENCE = 7.0
"""Seconds without a heartbeat after which a node is declared down."""
RPC_TIMEOUT = 5.0
BELIEF = 30.0
"""Seconds for which a former leader may believe that it leads."""
SLOW = 0.1
"""Of what a storage is told to do, how much it does much later."""
STORM, CALM = 400.0, 200.0
VOLUME = "data"


class TwoWriters(AssertionError):
    """Two nodes may write to the volume at one moment."""


class Clock:
    """A clock that only runs forward, at a pace of its own."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._pace = 1 + SKEW * world.random.choice((-1.0, 1.0, world.random.uniform(-1, 1)))
        self._begin = world.random.uniform(0, 1e5)

    def __call__(self) -> float:
        return self._begin + self._world.now * self._pace

    def until(self, moment: float) -> float:
        """True seconds until the clock shows this."""
        return max(0.0, (moment - self()) / self._pace)


class Manager:
    """One manager: a state that lags behind unless it leads, and what it counts of leases."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.clock = Clock(world)
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

    def report(self, agent: "Agent", order_id: str) -> None:
        """A node has carried out an order."""
        if self is not self.world.leader:
            return
        try:
            order, alone = self.book.answered(agent.name, order_id, failed=False, now=self.clock())
        except SwarmError:
            return
        volume = self.store.get(Volume, VOLUME)
        assert volume is not None
        change = settled(volume, order, Report(), alone=alone, fences=True)
        self.propose([] if change is None else [change])

    def hear(self, agent: "Agent", holds: list[Hold], done: Callable[[], None]) -> None:
        """The node lets go of these."""
        if self is self.world.leader and agent.name in self.feeds:
            for hold in holds:
                self.leases.given_back(hold)
            self.words.add(holds)
            self.propose(self.words.batches(self.store, self.words.take(0.0)))
            done()


class Agent:
    """A node: its leases outlive everything but the node, and end by its clock alone."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.clock = Clock(world)
        self.manager: Manager | None = None
        self.paused = self.cut = False
        self.leases: dict[int, float] = {}  # until when, by epoch
        self._told: dict[int, tuple[float, int]] = {}  # term and version, by epoch
        self._lost: dict[int, float] = {}  # that nothing renews any more
        self._gone: dict[Hold, None] = {}
        self._applied = 0
        self._session = 0
        self._deaf_until = 0.0

    def has_lease(self) -> bool:
        """Whether anything here may touch the volume, as its clock says."""
        return any(until > self.clock() for until in self.leases.values())

    def writes(self) -> bool:
        """Whether what is written here reaches the storage."""
        return self.has_lease() and self.world.lets_in(self)

    def order(self, manager: Manager, given: Given) -> None:
        """A message of the stream: what the agent is to have its driver do."""
        self._deaf_until = max(self._deaf_until, self.world.now + self.world.delay())
        self.world.at(self._deaf_until, self._carry_out, manager, given)

    def _carry_out(self, manager: Manager, given: Given) -> None:
        """Does it at the storage, sooner or later, and says so until it is heard."""
        if self.cut or self.paused or self.manager is not manager:
            self.leave(manager)
            return

        def done() -> None:
            self.world.tell_storage(given.order)
            for again in range(5):
                self.world.later(again, self.world.pass_, self, said)

        def said() -> None:
            manager.report(self, given.id)

        is_slow = self.world.random.random() < SLOW
        self.world.later(self.world.random.uniform(0.0, 90.0 if is_slow else 0.5), done)

    def begin(self, manager: Manager, session: int, messages: list[Message]) -> None:
        """A session."""
        self.manager, self._applied, self._session = manager, 0, session
        self.send(manager, messages)

    def leave(self, manager: Manager) -> None:
        """The session ended."""
        if self.manager is manager:
            self.manager = None

    def send(self, manager: Manager, messages: list[Message]) -> None:
        """From the manager to the agent, in order; a message that is lost ends the session."""
        for message in messages:
            self._deaf_until = max(self._deaf_until, self.world.now + self.world.delay())
            self.world.at(self._deaf_until, self._receive, manager, message)

    def _receive(self, manager: Manager, message: Message) -> None:
        if self.manager is not manager:
            return
        if self.cut or self.paused:
            self.leave(manager)
            return
        if message.type == Message.TYPE_COMPLETE:
            self._lose([each.volume.epoch for each in message.changes])
        for change in message.changes:
            epoch = change.volume.epoch
            if change.action == Change.ACTION_UPDATE:
                self._lose({epoch})  # what it had of this volume under another epoch
                self._told[epoch] = change.volume.term.seconds, message.version
            elif epoch:
                if epoch in self._lost:
                    self._told[epoch] = self._lost.pop(epoch), message.version
                self._let_go(epoch)
            else:
                self._lose(())
        self._applied = max(self._applied, message.version)

    def _lose(self, kept: Collection[int]) -> None:
        """Nothing renews the others from now on; what they have left is used to let go."""
        for epoch in [each for each in self._told if each not in kept]:
            self._lost[epoch] = self._told.pop(epoch)[0]
            self._let_go(epoch)

    def _let_go(self, epoch: int) -> None:
        def unmounted() -> None:
            self._told.pop(epoch, None)
            self._lost.pop(epoch, None)
            self.leases.pop(epoch, None)
            self._gone[Hold(VOLUME, self.name, epoch)] = None

        self.world.later(self.world.random.uniform(0.0, 3.0), unmounted)

    def beat(self) -> None:
        """Once in a while, unless it is paused."""
        self.world.later(self.world.random.uniform(0.9, 1.1) * self.world.period, self.beat)
        if self.paused:
            return
        manager = self.manager
        if manager is None:
            # Any manager that believes that it leads is taken for the leader.
            found = [each for each in self.world.managers if each.believes]
            if found:
                chosen = self.world.random.choice(found)
                self.world.pass_(self, lambda: chosen.register(self))
            return
        sent, applied, session = self.clock(), self._applied, self._session

        def answered(renewed: bool) -> None:
            def arrives() -> None:
                if renewed and self.clock() - sent < RPC_TIMEOUT:
                    self.renewed(sent, applied)

            self.world.pass_(self, arrives)

        self.world.pass_(self, lambda: manager.heartbeat(self, session, applied, answered))
        if self._gone:
            said = list(self._gone)
            late = self.world.random.choice((0.0, 0.0, 4.0, 12.0))
            hear = lambda: manager.hear(self, said, lambda: self._said(said))  # noqa: E731
            self.world.later(late, self.world.pass_, self, hear)

    def renewed(self, sent: float, applied: int) -> None:
        """The answer says so: what it was told of by then lasts on from the moment of sending."""
        for epoch, (term, version) in self._told.items():
            if version <= applied:
                until = counts_from(self, sent) + term
                self.leases[epoch] = max(until, self.leases.get(epoch, until))
        self.world.check()

    def _said(self, holds: list[Hold]) -> None:
        for hold in holds:
            self._gone.pop(hold, None)

    def lose_power(self) -> None:
        """Nothing of it is left, nor what it knew."""
        self.leases.clear()
        self._told.clear()
        self._lost.clear()
        self._gone.clear()
        self.manager = None


def counts_from(agent: Agent, sent: float) -> float:
    """The moment from which a renewal lasts: that of sending."""
    return sent


class World:
    """`run` it; TwoWriters if the promise broke."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.log: list[bytes] = []
        self.held = 0
        """How often another node came to hold the volume."""
        self._holders: set[str] = set()
        self._heap: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._asked = 0
        self._tasks = self._sessions = self._ids = 0
        self.guarded = seed % 2 == 1
        """Whether the storage lets nodes in one by one."""
        self._open_to: set[str] = set()
        self.period = self.random.choice(PERIODS)
        self.term = self.random.choice((5, 10, 20, 60))
        self.agents = [Agent(self, f"n{number}") for number in range(1, 4)]
        self.managers = [Manager(self) for _ in range(3)]
        self.leader = self.managers[0]
        self.leader.lead()
        self.leader.propose([batch(create(each)) for each in self._objects()])

    def _objects(self) -> Iterable[Node | Volume]:
        for agent in self.agents:
            made = node(agent.name)
            made.description.volume_drivers.add(
                name="shared", opens=self.guarded, fences=self.guarded
            )
            yield made
        volume = Volume(id=VOLUME)
        volume.spec.annotations.name = VOLUME
        volume.spec.driver = "shared"
        volume.spec.lease_term.seconds = self.term
        yield volume

    def run(self) -> None:
        """Faults, then calm: in the end somebody has the volume, and may write."""
        for agent in self.agents:
            self.later(self.random.uniform(0, self.period), agent.beat)
        self.later(0.1, self._duties)
        self.later(1.0, self._user)
        self.later(3.0, self._fault)
        self._until(STORM)
        for agent in self.agents:
            agent.cut = agent.paused = False
        self._until(STORM + CALM)
        assert any(agent.has_lease() for agent in self.agents), "nobody has the volume in the end"

    def _until(self, end: float) -> None:
        while self._heap and self._heap[0][0] < end:
            self.now, _, action, given = heappop(self._heap)
            action(*given)

    def at(self, moment: float, action: Callable[..., object], *given: object) -> None:
        """Lets something happen then."""
        self._asked += 1
        heappush(self._heap, (max(moment, self.now), self._asked, action, given))

    def later(self, delay: float, action: Callable[..., object], *given: object) -> None:
        """Lets something happen `delay` seconds from now."""
        self.at(self.now + delay, action, *given)

    def delay(self) -> float:
        """Seconds that a message takes."""
        return self.random.uniform(0.0, 4.0 if self.random.random() < 0.15 else 0.05)

    def pass_(self, agent: Agent, action: Callable[[], object]) -> None:
        """A message from or to the agent: late, or lost where it is cut off or paused."""

        def arrive() -> None:
            if not agent.cut and self.random.random() > 0.02:
                if agent.paused:
                    self.later(1.0, arrive)
                else:
                    action()

        self.later(self.delay(), arrive)

    def lets_in(self, agent: Agent) -> bool:
        """Whether the storage takes what the agent writes."""
        return not self.guarded or agent.name in self._open_to

    def tell_storage(self, order: Order) -> None:
        """It does so at once."""
        if order.verb == OPEN:
            self._open_to.add(order.node_id)
        else:
            self._open_to.discard(order.node_id)
        self.check()

    def next_id(self) -> str:
        """An id."""
        self._ids += 1
        return f"o-{self._ids}"

    def next_session(self) -> int:
        """A number that no session had."""
        self._sessions += 1
        return self._sessions

    def check(self) -> None:
        """The promise."""
        writers = [agent.name for agent in self.agents if agent.writes()]
        if len(writers) > 1:
            raise TwoWriters(f"{' and '.join(writers)} may write at {self.now:.1f} s")

    # Duties, people, and what goes wrong.

    def _duties(self) -> None:
        self.later(0.25, self._duties)
        self.leader.work()
        volume = self.leader.store.get(Volume, VOLUME)
        present = {each.node_id for each in volume.holders} if volume is not None else set()
        self.held += bool(present - self._holders)
        self._holders = present or self._holders

    def _user(self) -> None:
        """One task is wanted; now and then it is to end, or nodes take none."""
        self.later(self.random.uniform(0.1, 0.4), self._user)
        store = self.leader.store
        live = [each for each in store.all(Task) if states.is_live(each)]
        if not live:
            self._tasks += 1
            spec = specs_pb2.TaskSpec()
            mount = spec.container.mounts.add(type=specs_pb2.Mount.TYPE_CLUSTER, source=VOLUME)
            mount.volume_id, mount.target = VOLUME, "/data"
            fresh = task(f"t{self._tasks}", state=states.PENDING, spec=spec)
            self.leader.propose([batch(create(fresh))])
        elif self._stormy and self.random.random() < 0.01:
            for each in live:
                ended = copy(each)
                ended.status.state, ended.desired_state = states.SHUTDOWN, states.SHUTDOWN
                self.leader.propose([batch(update(ended))])
        for found in list(store.all(Node)):
            wish: types_pb2.NodeAvailability.ValueType
            wish = self.random.choice((ACTIVE, ACTIVE, PAUSE)) if self._stormy else ACTIVE
            if self.random.random() < 0.03 and found.spec.availability != wish:
                changed = copy(found)
                changed.spec.availability = wish
                self.leader.propose([batch(update(changed))])

    @property
    def _stormy(self) -> bool:
        return self.now < STORM

    def _fault(self) -> None:
        if not self._stormy:
            return
        self.later(self.random.uniform(0.5, 10.0), self._fault)
        agent = self.random.choice(self.agents)
        holders = [each for each in self.agents if each.has_lease()]
        if holders and self.random.random() < 0.5:
            agent = self.random.choice(holders)
        fault = self.random.choice(("cut", "pause", "power", "leader", "leader", "session"))
        if fault == "leader":
            self.change_leader()
        elif fault == "power":
            agent.lose_power()
        elif fault == "session":
            agent.manager = None
        else:
            flag = "cut" if fault == "cut" else "paused"
            setattr(agent, flag, True)
            long = self.term * self.random.uniform(1.0, 1.6)
            self.later(self.random.choice((3.0, 12.0, long, long)), setattr, agent, flag, False)

    def change_leader(self) -> None:
        """Another one leads; the former hears of it sooner or later."""
        former = self.leader
        self.leader = self.random.choice([each for each in self.managers if each is not former])
        self.leader.lead()

        def learns() -> None:
            if former is not self.leader:
                former.believes = False

        self.later(self.random.choice((0.1, 2.0, BELIEF)), learns)
