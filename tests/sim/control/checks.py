"""What must hold for users, agents and containers, whatever happens to managers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from api import states
from api.v1 import dispatcher_pb2, objects_pb2, specs_pb2, types_pb2
from manager.orchestrator.rollback import (
    ROLLBACK_COMPLETED,
    ROLLBACK_PAUSED,
    ROLLBACK_STARTED,
)
from manager.state.changes import Event
from manager.state.indexes import SlotKey, slot_key
from tests.sim.addresses import AddressWatch, leaked
from tests.sim.control.containers import Container
from tests.sim.control.known import right
from tests.sim.control.loop import VirtualLoop
from tests.sim.expected import shortfall
from tests.sim.raft.violation import Violation, must
from tests.support.builders import DOWN, READY
from worker.drains import LIMIT

if TYPE_CHECKING:
    from tests.sim.control.host import Host
    from tests.sim.control.world import World

Service = objects_pb2.Service
Task = objects_pb2.Task
ROLLBACK = (ROLLBACK_STARTED, ROLLBACK_PAUSED, ROLLBACK_COMPLETED)
GENTLE = {"transfer", "crash", "ill", "members", "clock"}
"""Faults that keep no agent from its leader for long."""
MANAGER = types_pb2.NODE_ROLE_MANAGER

RETURN_WINDOW = 15.0
"""Seconds for which two tasks of one slot may run at once on nodes that are in touch with a leader:
a lease (three periods), and what a stop takes.
"""
LOOK_EVERY = 0.5


P = ParamSpec("P")


def told(check: Callable[P, None]) -> Callable[P, None]:
    """A check whose violations end the run, even where the code that is checked catches them."""

    @wraps(check)
    def checked(*args: P.args, **named: P.kwargs) -> None:
        try:
            check(*args, **named)
        except Violation as violation:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.failures.append(violation)
            raise

    return checked


def _but_for_replicas(one: specs_pb2.ServiceSpec, another: specs_pb2.ServiceSpec) -> bool:
    """Whether both are alike, but for the number of replicas."""
    scaled = specs_pb2.ServiceSpec()
    scaled.CopyFrom(one)
    scaled.replicated.CopyFrom(another.replicated)
    return scaled == another


class Checks:
    """Raises Violation. `wanted`: the spec of each service as its user last had it acknowledged."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.wanted: dict[str, specs_pb2.ServiceSpec] = {}
        self._before: dict[str, list[specs_pb2.ServiceSpec]] = {}
        """The last different specs that were wanted: a failed update goes back to one by itself."""
        self.going: set[str] = set()
        """Services that somebody asked to remove."""
        self._reported: dict[str, int] = {}
        self._together: dict[tuple[str, str], tuple[float, object]] = {}
        world.watch.observers.append(self._event)
        world.watch.observers.append(AddressWatch(world.watch.store, self._rested).check)

    def begin(self) -> None:
        """Looks again and again."""
        self._world.network.later(LOOK_EVERY, self._look)

    # Users.

    def created(self, service: Service, spec: specs_pb2.ServiceSpec) -> None:
        """A user was told that there is this service now."""
        self.wanted[service.id] = spec
        self.still_there(service.id)

    def updated(self, service: Service, spec: specs_pb2.ServiceSpec) -> None:
        """A user was told that the service has this spec now."""
        wanted = self.wanted[service.id]
        if wanted != spec:
            # Whether an update was at its end when it was scaled nobody here knows.
            kept = self._before.get(service.id, []) if _but_for_replicas(wanted, spec) else []
            self._before[service.id] = [*kept, wanted]
        self.created(service, spec)

    def is_as_wanted(self, service: Service) -> bool:
        """Whether the service has the spec that was acknowledged last, or went back by itself."""
        if service.spec == self.wanted[service.id]:
            return True
        before = self._before.get(service.id, [])
        return service.update_status.state in ROLLBACK and service.spec in before

    def removed(self, service_id: str) -> None:
        """A user was told that it is gone."""
        self.wanted.pop(service_id, None)
        must(
            self._world.watch.store.get(Service, service_id) is None,
            "acknowledged removals are kept",
            "service %s is still there",
            service_id,
        )

    def still_there(self, service_id: str) -> None:
        """What was acknowledged is in the log."""
        found = self._world.watch.store.get(Service, service_id)
        must(found is not None, "acknowledged writes are kept", "service %s is gone", service_id)
        must(
            found is not None and self.is_as_wanted(found),
            "acknowledged writes are kept",
            "service %s has another spec than was acknowledged",
            service_id,
        )

    def all_there(self) -> None:
        """Everything that was acknowledged to users and agents."""
        for service_id in self.wanted.keys() - self.going:
            self.still_there(service_id)
        for task_id, state in self._reported.items():
            self._has_report(task_id, state)

    def _event(self, event: Event) -> None:
        if isinstance(event.new, objects_pb2.Node):
            if event.new.status.state == DOWN:
                self._world.hosts[event.new.id].down_since = self._world.watch.index
            must(
                event.new.status.state != DOWN or self._world.settings.faults - GENTLE,
                "nobody is declared down without cause",
                "node %s is: %s",
                event.new.id,
                event.new.status.message,
            )
        if isinstance(event.old, Service) and event.new is None:
            must(
                event.old.id in self.going,
                "nobody else removes services",
                "%s is removed",
                event.old.id,
            )

    def _rested(self, network_id: str, address: str, since: int) -> None:
        """An address may be handed out again: nobody sends to whom had it, if he serves at all."""
        for name, host in self._world.hosts.items():
            node = self._world.watch.store.get(objects_pb2.Node, name)
            resynced = host.known.version >= host.down_since
            if node is not None and node.status.state != DOWN and resynced:
                must(
                    (network_id, address) not in set(host.known.addresses()),
                    "what is handed out is known to nobody",
                    "%s, given up at %d, is free, and %s knows it still",
                    address,
                    since,
                    name,
                )

    # Agents.

    @told
    def acknowledged(
        self, host: "Host", updates: Iterable[dispatcher_pb2.TaskStatusUpdate]
    ) -> None:
        """A manager has told an agent that these reports are durable."""
        for each in updates:
            state = each.status.state
            self._reported[each.task_id] = max(state, self._reported.get(each.task_id, 0))
            self._has_report(each.task_id, state)

    def _has_report(self, task_id: str, state: int) -> None:
        task = self._world.watch.store.get(Task, task_id)
        if task is None:
            return
        must(
            task.status.state >= state,
            "acknowledged reports are kept",
            "task %s was reported as %d, and is %d",
            task_id,
            state,
            task.status.state,
        )

    # Volumes.

    @told
    def one_writer(self, volume_id: str) -> None:
        """A host may write to a volume, by its own clock and the storage: no other one may."""
        hosts = self._world.hosts.values()
        lets_in = self._world.storage.lets_in
        writers = [
            each.name
            for each in hosts
            if each.keeper.may_write(volume_id) and lets_in(volume_id, each.name)
        ]
        names = " and ".join(writers)
        must(len(writers) <= 1, "one writer", "%s may write to %s", names, volume_id)

    # Containers.

    @told
    def started(self, host: "Host", container: Container) -> None:
        """A container was started."""
        task = container.task
        self._world.note("{} starts {} slot {}", host.name, task.id, task.slot)
        known = self._world.watch.store.get(Task, task.id)
        must(
            known is None or known.node_id == host.name,
            "tasks run where they belong",
            "%s starts on %s",
            task.id,
            host.name,
        )

    @told
    def stopped(self, host: "Host", task: Task) -> None:
        """An agent stops a container."""
        self._world.note("{} stops {} slot {}", host.name, task.id, task.slot)
        known = self._world.watch.store.get(Task, task.id)
        must(
            known is None or known.desired_state >= states.SHUTDOWN or states.is_terminal(known),
            "what is wanted goes on",
            "%s on %s is stopped, though it is wanted",
            task.id,
            host.name,
        )

    @told
    def drained(self, host: "Host", task: Task, waited: float) -> None:
        """An agent is about to signal a container, for which it has waited so many seconds."""
        store = self._world.watch.store
        if waited > LIMIT / 2 or store.get(Task, task.id) is None:
            return  # as long as may be; or it was removed under way, and nobody knows it any more
        for name, other in self._world.hosts.items():
            node = store.get(objects_pb2.Node, name)
            resynced = other.known.version >= other.down_since
            if node is not None and node.status.state != DOWN and resynced:
                running = (each.task for each in other.containers.values() if each.running)
                own = {place.network_id for each in running for place in each.networks}
                must(
                    not other.known.leads_to(task.id, own),
                    "nobody is led to a task that is stopped",
                    "%s leads connections to %s on %s",
                    name,
                    task.id,
                    host.name,
                )

    @told
    def _look(self) -> None:
        self._world.network.later(LOOK_EVERY, self._look)
        now = self._world.loop.time()
        present: dict[tuple[str, str], object] = {}
        for one, other in self._pairs():
            links = self._world.link_of(one[0].name), self._world.link_of(other[0].name)
            if None not in links:
                present[one[1].task.id, other[1].task.id] = links
        for pair, both in present.items():
            since, before = self._together.get(pair, (now, both))
            self._together[pair] = (since, before) if before == both else (now, both)
            must(
                now - self._together[pair][0] <= RETURN_WINDOW,
                "one container per slot",
                "%s and %s run at once for %.0f s",
                *pair,
                now - since,
            )
        for pair in self._together.keys() - present.keys():
            del self._together[pair]

    def _pairs(self) -> Iterable[tuple[tuple["Host", Container], tuple["Host", Container]]]:
        slots: dict[tuple[str, SlotKey], list[tuple[Host, Container]]] = {}
        for host in self._world.hosts.values():
            for container in host.containers.values():
                if container.running:
                    key = container.task.service_id, slot_key(container.task)
                    slots.setdefault(key, []).append((host, container))
        for key, found in slots.items():
            for number, one in enumerate(found):
                for other in found[number + 1 :]:
                    if not self._may_overlap(key[0], one[1].task, other[1].task):
                        yield one, other

    def _may_overlap(self, service_id: str, one: Task, other: Task) -> bool:
        service = self._world.watch.store.get(Service, service_id)
        start_first = specs_pb2.UpdateConfig.ORDER_START_FIRST
        drained = any(self._world.watch.was_drained(task.id) for task in (one, other))
        return (drained or one.spec_version != other.spec_version) and (
            service is None
            or start_first in (service.spec.update.order, service.spec.rollback.order)
        )


def converged(world: "World") -> str:
    """What is not as it was asked for; "" if all is."""
    store = world.watch.store
    for node in store.all(objects_pb2.Node):
        if node.status.state != READY:
            return f"node {node.id} is not ready: {node.status.message}"
    for service in store.all(Service):
        problem = shortfall(store, service)
        if problem:
            return problem
    for host in world.hosts.values():
        for container in host.containers.values():
            if container.ill and container.running:
                return f"{container.task.id} runs on {host.name}, though it is ill"
    return (
        _volume_problem(world)
        or _leftovers(world)
        or leaked(store)
        or _unknown(world)
        or _seat_problem(world)
    )


def _volume_problem(world: "World") -> str:
    store = world.watch.store
    for found in store.all(objects_pb2.Volume):
        holders = [each.node_id for each in found.holders]
        users = {t.node_id for t in store.tasks_of_volume(found.id) if states.is_live(t)}
        if set(holders) != users:
            return f"volume {found.id} is held by {holders}, and used on {sorted(users)}"
    if stray := world.storage.made - {found.id for found in store.all(objects_pb2.Volume)}:
        return f"the storage keeps {sorted(stray)}, which nobody knows"
    return ""


def _unknown(world: "World") -> str:
    for host in world.hosts.values():
        wanted = right(world.watch.store, host.name)
        if host.known.items != wanted:
            different = host.known.items.keys() ^ wanted.keys()
            return f"{host.name} knows other networks than it should: {sorted(different)}"
    return ""


def _leftovers(world: "World") -> str:
    store = world.watch.store
    slots: Counter[tuple[str, SlotKey]] = Counter()
    for task in store.all(Task):
        if store.get(Service, task.service_id) is None:
            return f"{task.id} outlives its service"
        if task.desired_state == states.REMOVE:
            return f"{task.id} is not reaped"
        slots[task.service_id, slot_key(task)] += 1
    if any(count > world.history_limit + 1 for count in slots.values()):
        return f"too much history: {slots}"
    for host in world.hosts.values():
        running = {task_id for task_id, each in host.containers.items() if each.running}
        wanted = {t.id for t in store.tasks_of_node(host.name) if t.status.state == states.RUNNING}
        if running != wanted:
            return f"{host.name} runs {sorted(running)}, not {sorted(wanted)}"
        needed = {
            ("secret", reference.id)
            for task in store.tasks_of_node(host.name)
            if task.status.state == states.RUNNING
            for reference in task.spec.container.secrets
        }
        if host.held.keys() != needed:
            return f"{host.name} holds {sorted(host.held)}, not {sorted(needed)}"
        traces = host.containers.keys() - {t.id for t in store.tasks_of_node(host.name)}
        if traces:
            return f"{host.name} has traces of {sorted(traces)}"
    return ""


def _seat_problem(world: "World") -> str:
    store = world.watch.store
    leader = world.leader()
    if leader is None:
        return "nobody leads"
    seats = {member.node_id for member in leader.node.members.values()}
    wanted = {n.id for n in store.all(objects_pb2.Node) if n.spec.role == MANAGER}
    if seats != wanted:
        return f"managers are {sorted(seats)}, not {sorted(wanted)}"
    voters = leader.node.status().config.voters.ids()
    if len(voters) != len(wanted):
        return f"{len(voters)} of {len(wanted)} managers vote"
    for name in sorted(wanted):
        manager = world.hosts[name].manager
        if manager is None or manager.node.applied != leader.node.applied:
            return f"manager {name} lags behind"
    complaint = leader.duties.complaint()
    return complaint


def violated(error: BaseException) -> Violation:
    """What broke, by what was raised."""
    if isinstance(error, Violation):
        return error
    made = Violation("the code's own invariants", f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made
