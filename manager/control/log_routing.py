"""Whom to ask for the logs that one client wants, and when there is nothing more to wait for. Pure.

Every node that holds a matching task is a source. A source that is down, or that says nothing
within ANSWER_LIMIT, gets one warning and is waited for no longer: one dead node must not hang the
reading of logs (moby#41733). Which of its tasks match is for the agent to find out, also of those
that it gets later, so a node is asked once. An agent that begins to listen has forgotten what it
was asked before: a client that follows has it asked again, for what came after its last lines.

The last lines that a follower asks for are those of the tasks that it found; of a task that comes
later it gets every line, also where the node is asked, or reads, after some were written.

Times are monotonic seconds.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from google.protobuf.timestamp_pb2 import Timestamp

from api.errors import Code, SwarmError, invalid
from api.states import ASSIGNED, is_terminal
from api.v1 import logs_pb2, objects_pb2, types_pb2
from manager.control.log_seen import Seen
from manager.state.changes import T
from manager.state.store import View

ANSWER_LIMIT = 5.0
"""Seconds that a node has to listen, and to say something where the client does not follow."""

Node = objects_pb2.Node
Task = objects_pb2.Task


class Progress(Enum):
    """How far a source is."""

    WAITING = auto()  # it is not listening yet
    ASKED = auto()
    ANSWERING = auto()
    DONE = auto()
    LOST = auto()  # there was a warning about it


@dataclass(slots=True)
class _Source:
    progress: Progress = Progress.WAITING
    deadline: float | None = None
    tasks: set[str] = field(default_factory=set)
    found: frozenset[str] = frozenset()
    """Those that it had when the client began."""
    seen: Seen = field(default_factory=Seen)
    since: Timestamp | None = None
    """Where it is to go on, if it is asked again."""


class Route:
    """One client's reading of logs."""

    def __init__(
        self, route_id: str, selector: logs_pb2.LogSelector, options: logs_pb2.LogOptions
    ) -> None:
        self.id = route_id
        self._selector = selector
        self._options = options
        self._services = frozenset(selector.service_ids)
        self._tasks = frozenset(selector.task_ids)
        self._nodes = frozenset(selector.node_ids)
        self._sources: dict[str, _Source] = {}
        self._warnings: list[str] = []
        self._has_begun = False

    def matches(self, task: Task) -> bool:
        """Whether the client wants the task's lines: ids of any kind in the selector are ORed."""
        return (
            task.service_id in self._services
            or task.id in self._tasks
            or task.node_id in self._nodes
        )

    def concerns(self, obj: object) -> bool:
        """Whether a change of the object may change whom to ask."""
        if isinstance(obj, Task):
            return self.matches(obj)
        return isinstance(obj, Node) and obj.id in self._sources

    def update(self, view: View, listening: Container[str], now: float) -> list[str]:
        """Takes in the tasks and nodes as they are; the nodes that are to be asked now."""
        ask = []
        for node_id, task_ids in self._holders(view).items():
            source = self._sources.get(node_id)
            if source is None:
                found = frozenset() if self._has_begun else frozenset(task_ids)
                source = _Source(deadline=now + ANSWER_LIMIT, found=found)
                self._sources[node_id] = source
            elif self._has_more(source, task_ids):
                source.progress, source.deadline = Progress.WAITING, now + ANSWER_LIMIT
            source.tasks |= task_ids
        self._has_begun = True
        for node_id, source in self._sources.items():
            if source.progress is Progress.WAITING and node_id in listening:
                self._ask(source, now)
                ask.append(node_id)
            elif _is_open(source) and (trouble := _trouble(view.get(Node, node_id))):
                self._lose(source, _named(view, node_id), trouble)
        return ask

    def listens(self, view: View, node_id: str, now: float) -> bool:
        """The node's agent has begun to listen: whether it is to be asked."""
        source = self._sources.get(node_id)
        if source is None or source.progress is Progress.DONE:
            return False
        if self._options.follow or source.progress in (Progress.WAITING, Progress.ASKED):
            self._ask(source, now)
            return True
        # Lines may be missing in the middle, and only a follower can be told the rest.
        self.broke(view, node_id)
        return False

    def request(self, node_id: str) -> logs_pb2.Subscription:
        """What to ask the node for."""
        wanted = logs_pb2.Subscription(id=self.id, selector=self._selector, options=self._options)
        source = self._sources[node_id]
        if source.since is not None:
            wanted.options.tail = -1
            wanted.options.since.CopyFrom(source.since)
        elif self._options.follow and self._options.tail >= 0:
            wanted.tail_task_ids.extend(sorted(source.found))
        return wanted

    def asked(self) -> list[str]:
        """The nodes that were asked and have not ended by themselves."""
        open_ones = (Progress.ASKED, Progress.ANSWERING)
        return [n for n, source in self._sources.items() if source.progress in open_ones]

    def heard(self, node_id: str) -> Seen:
        """The node sends: which of its lines came before. DENIED if it is not to, or no longer.

        A source that a follower had lost may go on: its stream had outlived a hiccup.
        """
        source = self._sources.get(node_id)
        welcome = [Progress.ASKED, Progress.ANSWERING]
        if self._options.follow:
            welcome.append(Progress.LOST)
        if source is None or source.progress not in welcome:
            raise SwarmError(
                Code.DENIED,
                f"node {node_id} may not publish for log subscription {self.id}",
                why="it was not asked, or was not waited for any longer",
            )
        source.progress, source.deadline = Progress.ANSWERING, None
        return source.seen

    def done(self, view: View, node_id: str, error: str) -> None:
        """The node has sent all it has, or says why it could not."""
        source = self._sources[node_id]
        source.progress, source.deadline = Progress.DONE, None
        if error:
            self._warnings.append(
                f"{_named(view, node_id)} could not send all its log lines: {error}"
            )

    def broke(self, view: View, node_id: str) -> None:
        """The node stopped to send without a word."""
        source = self._sources[node_id]
        if source.progress is Progress.ANSWERING:
            self._lose(source, _named(view, node_id), "broke off")

    def tick(self, view: View, now: float) -> None:
        """Gives up the sources that did not answer in time."""
        for node_id, source in self._sources.items():
            if source.deadline is not None and source.deadline <= now:
                trouble = f"has not answered within {ANSWER_LIMIT:g} s"
                self._lose(source, _named(view, node_id), trouble)

    def due(self) -> float | None:
        """When to `tick`."""
        waiting = [s.deadline for s in self._sources.values() if s.deadline is not None]
        return min(waiting, default=None)

    def is_finished(self, view: View) -> bool:
        """Whether no source has, or will have, more for this client."""
        if any(_is_open(source) for source in self._sources.values()):
            return False
        if not self._options.follow:
            return True
        if self._services or self._nodes:
            return False
        tasks = [view.get(Task, task_id) for task_id in self._tasks]
        return all(task is None or is_terminal(task) for task in tasks)

    @property
    def has_warnings(self) -> bool:
        """Whether there are sentences for the client."""
        return bool(self._warnings)

    def take_warnings(self) -> list[str]:
        """Sentences for the client, each given once."""
        taken, self._warnings = self._warnings, []
        return taken

    def _holders(self, view: View) -> dict[str, set[str]]:
        holders: dict[str, set[str]] = {}
        for task in self._candidates(view):
            if task.node_id and task.status.state >= ASSIGNED:
                holders.setdefault(task.node_id, set()).add(task.id)
        return holders

    def _candidates(self, view: View) -> Iterator[Task]:
        for service_id in self._services:
            yield from view.tasks_of_service(service_id)
        for node_id in self._nodes:
            yield from view.tasks_of_node(node_id)
        for task_id in self._tasks:
            if (task := view.get(Task, task_id)) is not None:
                yield task

    def _has_more(self, source: _Source, task_ids: set[str]) -> bool:
        return (
            self._options.follow
            and source.progress is Progress.DONE
            and not task_ids <= source.tasks
        )

    def _ask(self, source: _Source, now: float) -> None:
        source.progress, source.since = Progress.ASKED, source.seen.resume()
        # A follower's source may rightly be silent for as long as its tasks are.
        source.deadline = None if self._options.follow else now + ANSWER_LIMIT

    def _lose(self, source: _Source, name: str, trouble: str) -> None:
        source.progress, source.deadline = Progress.LOST, None
        remedy = (
            "they follow when it is back"
            if self._options.follow
            else "read again when it is back, or see `swarmctl node ls`"
        )
        self._warnings.append(f"{name} {trouble}: log lines of its tasks are missing; {remedy}")


def check(view: View, selector: logs_pb2.LogSelector) -> None:
    """Refuses a selector that selects nothing or names what does not exist."""
    if not (selector.service_ids or selector.task_ids or selector.node_ids):
        raise invalid("selector", "a service, task or node is needed")
    _all_exist(view, "service_ids", objects_pb2.Service, selector.service_ids)
    _all_exist(view, "task_ids", Task, selector.task_ids)
    _all_exist(view, "node_ids", Node, selector.node_ids)


def _all_exist(view: View, name: str, kind: type[T], ids: Iterable[str]) -> None:
    for object_id in ids:
        if view.get(kind, object_id) is None:
            word = name.removesuffix("_ids")
            raise SwarmError(
                Code.NOT_FOUND, f"{word} {object_id} does not exist", field=f"selector.{name}"
            )


def _is_open(source: _Source) -> bool:
    return source.progress not in (Progress.DONE, Progress.LOST)


def _trouble(node: Node | None) -> str:
    if node is None:
        return "was removed"
    return "is down" if node.status.state == types_pb2.NODE_STATE_DOWN else ""


def _named(view: View, node_id: str) -> str:
    node = view.get(Node, node_id)
    hostname = "" if node is None else node.description.hostname
    return f"node {hostname} ({node_id})" if hostname else f"node {node_id}"
