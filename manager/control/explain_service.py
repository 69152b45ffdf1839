"""How a service comes along: the answer to ExplainService. Pure.

Tasks of which the same is to be said are told of together, so that the answer is short also for ten
thousand of them. Which slots there are, where each stands in a rollout and which nodes take part is
asked of the orchestrator's own code. Goes on in pieces, as explain_task.py.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from api import states
from api.modes import is_everywhere, is_job
from api.times import seconds_of
from api.v1 import control_pb2, explain_pb2, objects_pb2
from manager.control import listing
from manager.control.explain_nodes import divisions, left_out
from manager.control.explain_rollout import rollout
from manager.orchestrator.jobs import is_done
from manager.orchestrator.slots import Slot, put
from manager.orchestrator.tasks import Fate, Fates
from manager.scheduler.reasons import without_details
from manager.state.indexes import SlotKey
from manager.state.store import View

Answer = explain_pb2.ServiceExplanation
Service = objects_pb2.Service
Task = objects_pb2.Task

EXAMPLES = 3
MAX_GROUPS = 20
"""Of tasks that need a look: their errors may all differ."""
IN_ANSWER = 3
"""Groups that are named in the answer itself."""
WELL = "run"
DONE = "completed"


@dataclass(slots=True)
class _Group:
    """Slots of which the same is to be said. `wait`: seconds until the first of them goes on."""

    text: str
    is_well: bool
    slots: int = 0
    examples: list[Task] = field(default_factory=list)
    wait: float | None = None

    def add(self, task: Task, wait: float | None) -> None:
        self.slots += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(task)
        if wait is not None:
            self.wait = wait if self.wait is None else min(self.wait, wait)

    @property
    def words(self) -> str:
        return self.text if self.wait is None else f"{self.text}; the next in {self.wait:.0f} s"


def explain_service(
    view: View, service: Service, now: float, waited_since: float = 0.0
) -> Generator[None, None, Answer]:
    """The explanation. Both times: those of the leader's SwarmClock."""
    answer = Answer(service_id=service.id, name=service.spec.annotations.name)
    slots: dict[SlotKey, Slot] = {}
    on_node: Counter[str] = Counter()
    for task in view.tasks_of_service(service.id):
        if task.job_iteration == service.job_status.iteration:
            put(slots, task)
        if task.node_id and states.is_live(task):
            on_node[task.node_id] += 1
        yield
    filled = [slot for slot in slots.values() if slot.is_filled]
    filled.sort(key=attrgetter("number", "node_id"))
    fates = Fates(view)
    groups: dict[str, _Group] = {}
    for slot in filled:
        _sort(slot, groups, fates, now)
        yield
    ordered = _ordered(groups.values())
    for group in ordered:
        answer.groups.add(
            text=group.words,
            tasks=group.slots,
            is_well=group.is_well,
            examples=map(states.task_name, group.examples),
            example_id=group.examples[0].id,
        )
    answer.rollout = yield from rollout(service, filled, fates, now, waited_since)
    nodes = list(view.all(objects_pb2.Node))
    yield from divisions(answer, service, nodes, on_node)
    if is_everywhere(service):
        yield from left_out(answer, view, service, on_node)
    answer.answer = _answer(view, service, len(filled), ordered)
    return answer


def _sort(slot: Slot, groups: dict[str, _Group], fates: Fates, now: float) -> None:
    text, is_well, wait = _state(slot, fates, now)
    task = slot.wanted[-1] if slot.wanted else slot.newest
    # Numbers in the scheduler's reasons differ by when each was written.
    is_pending = task.status.state == states.PENDING
    key = without_details(task.status.error) if is_pending else text
    group = groups.get(key)
    if group is None:
        group = groups[key] = _Group(text, is_well)
    group.add(task, wait)


def _ordered(groups: Iterable[_Group]) -> list[_Group]:
    """What needs a look first, then the largest; the many that would be too many as one."""
    found = sorted(groups, key=lambda group: (group.is_well, -group.slots))
    rest = [group for group in found if not group.is_well][MAX_GROUPS:]
    if not rest:
        return found
    merged = _Group(f"have {len(rest):,} other reasons", is_well=False)
    merged.slots = sum(group.slots for group in rest)
    merged.examples = rest[0].examples
    well = [group for group in found if group.is_well]
    return [*found[:MAX_GROUPS], merged, *well]


def _state(slot: Slot, fates: Fates, now: float) -> tuple[str, bool, float | None]:
    """What is to be said of the slot, whether that is well, and for how many seconds it stays."""
    if is_done(slot):
        return DONE, True, None
    wanted = slot.wanted
    if not wanted:
        return _ended(slot), False, None
    task = wanted[-1]
    error = f": {task.status.error}" if task.status.error else ""
    state = task.status.state
    if states.is_terminal(task):
        return f"ended, and are about to be replaced{error}", False, None
    if state == states.RUNNING:
        where = "" if fates.of(task) is Fate.STAYS else " on nodes that they have to leave"
        return f"{WELL}{where}", not where, None
    if state == states.NEW:
        return f"wait until what they need is set aside{error}", False, None
    if state == states.PENDING:
        return f"wait{error or ' to be placed'}", False, None
    if task.desired_state == states.READY:
        return _held(slot, task, now)
    return f"are placed, and {states.state_name(state).lower()}{error}", False, None


def _held(slot: Slot, task: Task, now: float) -> tuple[str, bool, float | None]:
    wait = seconds_of(task.start_after) - now
    if wait <= 0:
        return "start once the task before them has stopped", False, None
    last = next((t for t in reversed(slot.tasks) if states.is_terminal(t)), None)
    error = f": {last.status.error}" if last is not None and last.status.error else ""
    return f"start again after they failed{error}", False, wait


def _ended(slot: Slot) -> str:
    task = slot.newest
    if not states.is_terminal(task):
        return "are stopping"
    error = f": {task.status.error}" if task.status.error else ""
    return f"ended for good ({states.state_name(task.status.state).lower()}){error}"


def _answer(view: View, service: Service, filled: int, groups: list[_Group]) -> str:
    name = service.spec.annotations.name
    if is_job(service):
        return f"{name}: {_job(view, service, groups)}"
    wanted = max(filled, _asked_for(service))
    if not wanted:
        return (
            f"{name}: no tasks are wanted"
            if not is_everywhere(service)
            else (f"{name}: no node takes part")
        )
    missing = wanted - filled
    running = sum(group.slots for group in groups if group.text == WELL)
    if running == wanted:
        return f"{name}: all {wanted:,} tasks run" if wanted > 1 else f"{name}: its task runs"
    return f"{name}: " + "; ".join(
        [
            f"{running:,} of {wanted:,} tasks run",
            *_others(groups),
            *([f"{missing:,} are yet to be made"] if missing else []),
        ]
    )


def _asked_for(service: Service) -> int:
    replicated = service.spec.WhichOneof("mode") == "replicated"
    return service.spec.replicated.replicas if replicated else 0


def _job(view: View, service: Service, groups: list[_Group]) -> str:
    counts = control_pb2.ServiceCounts()
    listing.count(counts, service, view.tasks_of_service(service.id))
    total = counts.desired + counts.completed
    if service.spec.HasField("replicated_job"):
        total = service.spec.replicated_job.total_completions
    left = max(0, total - counts.completed)
    return "; ".join(
        [f"{counts.completed:,} of {total:,} completed", f"{left:,} left"]
        + ([f"{counts.running:,} run"] if counts.running else [])
        + list(_others(groups))
    )


def _others(groups: Iterable[_Group]) -> Iterator[str]:
    wrong = [group for group in groups if not group.is_well]
    yield from (f"{group.slots:,} {group.words}" for group in wrong[:IN_ANSWER])
    if len(wrong) > IN_ANSWER:
        yield f"{sum(group.slots for group in wrong[IN_ANSWER:]):,} are told of below"
