"""Bugs to plant, each a small patch of the real code: the simulation must find every one of them.

A hunt runs seeds from 1 on until one is broken; its budget says after how many at most.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from api import states
from api.v1 import dispatcher_pb2, objects_pb2
from manager import runner
from manager.allocator import book, decide, turn
from manager.control import services
from manager.dispatcher.assignments import Assignments
from manager.dispatcher.catalogue import Catalogue
from manager.dispatcher.catalogue import Key as CatalogueKey
from manager.dispatcher.draining import Draining
from manager.dispatcher.files import NodeFiles
from manager.dispatcher.networks import NodeNetworks
from manager.dispatcher.rests import Rests
from manager.dispatcher.sessions import Finding, Sessions
from manager.dispatcher.term import Term
from manager.orchestrator import jobs, reaper
from manager.raft.node.node import RaftNode
from manager.raft.node.waits import Waits
from manager.runner import Runner
from manager.scheduler.waiting import Entry
from manager.state.capture import Capture
from manager.state.changes import copy
from manager.state.store import Store
from manager.state.swarm_clock import SwarmClock
from tests.sim.control.runner import Verdict, run
from tests.sim.control.settings import FAULTS, Settings
from tests.sim.raft.plant import Plant, Plants, at_once, swap
from worker import task_machine
from worker.drains import Drains

plants = Plants()


@plants("cutleader,kill", steps=20_000, seeds=30)
def plant_former_leader_counts_its_proposals() -> AbstractContextManager[object]:
    """Proposals of a former leader wait on, and count as made by whatever stands at their index."""

    def applied(self: Waits[Any], index: int, term: int) -> tuple[Any, list[Any]]:
        at = self._at.pop(index, None)
        return (None if at is None else at[1]), []

    return at_once(
        swap(Waits, "applied", applied),
        swap(Waits, "lost", lambda self: []),
    )


@plants("transfer", steps=6_000)
def plant_loops_go_on_as_before() -> AbstractContextManager[object]:
    """A loop is not begun anew when its manager comes to lead."""

    def reset(self: Runner, now: float) -> None:
        self._wake_at = now

    return swap(Runner, "reset", reset)


@plants("clock,crash", steps=20_000)
def plant_time_is_what_the_wall_clock_shows() -> AbstractContextManager[object]:
    """A clock that is set back sets the swarm's time back."""
    return swap(SwarmClock, "__call__", lambda self: self._wall())


@plants("transfer,clock", steps=20_000)
def plant_a_new_leader_has_a_time_of_its_own() -> AbstractContextManager[object]:
    """It knows no stamps of the one before."""
    return swap(Store, "at", 0.0)


@plants("kill,power", steps=20_000)
def plant_snapshots_forget_requests() -> AbstractContextManager[object]:
    """A snapshot does not hold which requests were carried out."""
    capture = Store.capture

    def forgetful(self: Store) -> Capture:
        captured = capture(self)
        captured._requests = []
        return captured

    return swap(Store, "capture", forgetful)


@plants("cutleader,kill", steps=20_000)
def plant_requests_are_not_remembered() -> AbstractContextManager[object]:
    """A retry has a second effect."""
    return swap(Store, "_remember", lambda self, request_id, index, object_id: None)


@plants("cutleader,kill", steps=30_000)
def plant_reports_are_answered_early() -> AbstractContextManager[object]:
    """The dispatcher acknowledges reports before they are durable."""

    async def report(
        self: Term,
        session_id: str,
        node_id: str,
        updates: Iterable[dispatcher_pb2.TaskStatusUpdate],
    ) -> None:
        self._sessions.check(session_id, node_id)
        self._task_reports.add(list(updates))
        self._task_writer.wake()

    return swap(Term, "report", report)


@plants("transfer", steps=20_000)
def plant_leader_change_takes_nodes_down() -> AbstractContextManager[object]:
    """A new leader gives nodes no time to come."""
    lead = Sessions.lead

    def impatient(
        self: Sessions, node_ids: Iterable[str], now: float, period: float
    ) -> list[Finding]:
        return lead(self, node_ids, now, period / 1000)

    return swap(Sessions, "lead", impatient)


@plants("cutleader", steps=60_000)
def plant_reads_are_not_up_to_date() -> AbstractContextManager[object]:
    """A manager reads what it has, whoever leads."""

    async def at_once(self: RaftNode) -> None:
        return

    return swap(RaftNode, "read_barrier", at_once)


@plants("none", steps=12_000)
def plant_removals_are_not_told() -> AbstractContextManager[object]:
    """An agent does not hear of tasks that are gone."""
    observe = Assignments.observe

    def deaf(self: Assignments, task_id: str, task: objects_pb2.Task | None, now: float) -> None:
        if task is not None:
            observe(self, task_id, task, now)

    return swap(Assignments, "observe", deaf)


@plants("none", steps=15_000)
def plant_complete_set_is_not_complete() -> AbstractContextManager[object]:
    """A session begins with the tasks that are still to start, and no others."""
    complete = Assignments.complete

    def short(self: Assignments, tasks: Iterable[objects_pb2.Task]) -> Any:
        return complete(self, [task for task in tasks if not task.status.HasField("container")])

    return swap(Assignments, "complete", short)


@plants("none", steps=6_000)
def plant_secrets_stay_for_ever() -> AbstractContextManager[object]:
    """A node is not told that it needs a secret no longer."""
    removals = NodeFiles.removals

    def silent(self: NodeFiles) -> list[dispatcher_pb2.AssignmentChange]:
        removals(self)
        return []

    return swap(NodeFiles, "removals", silent)


@plants("kill", steps=10_000)
def plant_secrets_are_told_once() -> AbstractContextManager[object]:
    """A session begins without the secrets that the tasks need."""
    begin = NodeFiles.begin

    def silent(self: NodeFiles, tasks: Iterable[objects_pb2.Task]) -> Any:
        begin(self, tasks)
        return []

    return swap(NodeFiles, "begin", silent)


@plants("slow,crash", steps=20_000, nodes=1)
def plant_refusals_are_not_heard() -> AbstractContextManager[object]:
    """A loop is not told that its decision was refused."""

    def settled(self: Runner, *_: object) -> None:
        self._recovered()

    return swap(Runner, "settled", settled)


@plants("crash", steps=10_000)
def plant_completed_jobs_run_again() -> AbstractContextManager[object]:
    """A slot of a job is never done."""
    return swap(jobs, "is_done", lambda slot: False)


@plants("none", steps=10_000)
def plant_earlier_iterations_count() -> AbstractContextManager[object]:
    """What an earlier iteration of a job completed counts for the present one."""
    return swap(jobs, "_is_earlier", lambda task, iteration: False)


@plants("none", steps=10_000)
def plant_global_tasks_go_anywhere() -> AbstractContextManager[object]:
    """The scheduler gives a global service's task the emptiest node, not its own."""
    of = Entry.of

    def astray(task: objects_pb2.Task) -> Entry:
        entry = of(task)
        return entry._replace(needs=entry.needs._replace(node_id=""))

    return swap(Entry, "of", astray)


@plants("none", steps=6_000)
def plant_health_is_not_waited_for() -> AbstractContextManager[object]:
    """A task with a health check runs as soon as it is started."""
    return swap(task_machine, "UNPROVEN", None)


@plants("ill", steps=6_000)
def plant_unhealthy_tasks_go_on() -> AbstractContextManager[object]:
    """What a failing health check says is reported, and has no consequence."""
    conclude = task_machine.conclude

    def lenient(status: Any, outcome: Any, **others: Any) -> objects_pb2.TaskStatus:
        concluded = conclude(status, outcome, **others)
        if isinstance(outcome, task_machine.Judged):
            concluded.state = states.RUNNING
            concluded.container.health = states.HEALTHY
        return concluded

    return swap(task_machine, "conclude", lenient)


@plants("none", steps=6_000)
def plant_addresses_do_not_rest() -> AbstractContextManager[object]:
    """What is given up may be handed out at once."""
    return swap(turn, "at_rest", lambda network, addresses: copy(network))


@plants("none", steps=12_000)
def plant_nobody_has_to_confirm() -> AbstractContextManager[object]:
    """Addresses rest until the next look, whatever nodes know."""
    return swap(Rests, "take", lambda self, now: 1 << 60)


@plants("slow,delay,agent", steps=30_000)
def plant_what_was_told_counts_as_carried_out() -> AbstractContextManager[object]:
    """A node is taken to know what it was sent."""
    return swap(Assignments, "confirmed", lambda self, applied, present: present)


@plants("transfer", steps=12_000)
def plant_resting_addresses_are_forgotten() -> AbstractContextManager[object]:
    """What rests is free for a new leader."""
    return _plant_in_the_book(objects_pb2.Network)


@plants("transfer", steps=12_000)
def plant_a_new_leader_does_not_know_virtual_addresses() -> AbstractContextManager[object]:
    """Those of services are free for tasks."""
    return _plant_in_the_book(objects_pb2.Service)


@plants("transfer", steps=12_000)
def plant_a_new_leader_does_not_know_the_addresses_of_tasks() -> AbstractContextManager[object]:
    """Those of tasks are free for other tasks."""
    return _plant_in_the_book(objects_pb2.Task)


def _plant_in_the_book(kind: type[object]) -> AbstractContextManager[object]:
    places = book._places
    return swap(book, "_places", lambda obj: () if isinstance(obj, kind) else places(obj))


@plants("none", steps=12_000)
def plant_tasks_are_reaped_with_their_addresses() -> AbstractContextManager[object]:
    """The reaper does not wait until a task has given back what it holds, where that takes long."""
    return at_once(
        swap(reaper, "holds", lambda task: False),
        swap(decide.AllocatorLoop, "debounce", 1.0),
        swap(reaper.ReaperLoop, "debounce", 0.0),
        swap(runner, "MAX_DEBOUNCE", 1.0),
    )


@plants("none", steps=12_000)
def plant_services_go_with_their_addresses() -> AbstractContextManager[object]:
    """The virtual addresses of a service that is removed do not rest."""
    return swap(services, "gone_with", lambda view, service: ())


@plants("none", steps=12_000)
def plant_addresses_are_never_free_again() -> AbstractContextManager[object]:
    """Tasks that have ended keep what they hold."""
    return swap(decide, "gives_back", lambda task: False)


@plants("none", steps=6_000)
def plant_endpoints_stay_for_ever() -> AbstractContextManager[object]:
    """A node is not told what of networks it needs no longer."""
    removals = NodeNetworks.removals

    def silent(self: NodeNetworks) -> list[dispatcher_pb2.AssignmentChange]:
        removals(self)
        return []

    return swap(NodeNetworks, "removals", silent)


@plants("none", steps=6_000)
def plant_nodes_hear_of_their_own_tasks_alone() -> AbstractContextManager[object]:
    """What changes elsewhere in a network is not told."""
    return swap(Catalogue, "tell", lambda self, keys: None)


@plants("none", steps=6_000)
def plant_tasks_are_stopped_at_once() -> AbstractContextManager[object]:
    """An agent does not wait until other nodes lead nobody to a task any more."""

    async def no_wait(self: Drains, task_id: str) -> None:
        return

    return swap(Drains, "wait", no_wait)


@plants("transfer", steps=12_000)
def plant_a_new_leader_waits_for_those_alone_who_came_to_it() -> AbstractContextManager[object]:
    """Nodes that have no session with it yet count as if they led nobody anywhere."""

    def may_lead(self: Draining, node_id: str, endpoints: Collection[CatalogueKey]) -> bool:
        link = self._link_of(node_id)
        return link is not None and link.may_lead(endpoints)

    return swap(Draining, "_may_lead", may_lead)


@plants("delay", steps=30_000, nodes=1)
def plant_what_was_sent_counts_as_carried_out() -> AbstractContextManager[object]:
    """A node is not waited for once it was sent the word that a task serves no more."""
    may_lead = NodeNetworks.may_lead

    def early(self: NodeNetworks, endpoints: Iterable[CatalogueKey], applied: int) -> bool:
        return may_lead(self, endpoints, 1 << 62)

    return swap(NodeNetworks, "may_lead", early)


def hunt(plant: Plant) -> Verdict | None:
    """The first run that the planted bug breaks; None if the budget was not enough."""
    names = frozenset(plant.faults.split(",")) - {"none"}
    assert names <= FAULTS.keys()
    for seed in range(1, plant.seeds + 1):
        settings = Settings(seed, plant.steps, plant.nodes, names)
        verdict = run(settings, planted=plant.patch())
        if verdict.violation is not None:
            return verdict
    return None


MUTANTS: Mapping[str, Plant] = {
    plant.patch.__name__.removeprefix("plant_"): plant for plant in plants.all
}
