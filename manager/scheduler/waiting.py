"""The tasks that wait for a node: those that are yet to be tried, and those that fit nowhere.

Tasks are taken oldest first, together with all others of their group. Those that fit nowhere are
kept by their needs, because tasks with equal needs share the verdict and the words for it.
"""

import heapq
from dataclasses import dataclass, field

from api import states
from api.v1 import objects_pb2
from manager.scheduler.nodes import GroupKey
from manager.scheduler.pipeline import Needs, needs_of

MAX_KNOWN = 1000
"""Different needs that are remembered, so that equal ones are kept once."""

Age = tuple[int, int, str]
"""Order among tasks: moment of creation in seconds and nanoseconds, then id."""


def is_waiting(task: objects_pb2.Task) -> bool:
    """Whether the scheduler is to find a node for the task, or to say whether its own fits."""
    return task.status.state == states.PENDING and states.is_live(task)


@dataclass(slots=True)
class Entry:
    """A waiting task, without what changes while it waits."""

    id: str
    age: Age
    group: GroupKey
    needs: Needs
    spread: tuple[str, ...] = ()

    @property
    def peers(self) -> tuple[GroupKey, str]:
        """What it shares with the tasks that are placed together with it."""
        return (self.group, self.needs.node_id)

    @classmethod
    def of(cls, task: objects_pb2.Task) -> "Entry":
        """What is to be remembered of the task."""
        created = task.meta.created_at
        group = (task.service_id or task.id, task.spec_version)
        age = (created.seconds, created.nanos, task.id)
        return cls(task.id, age, group, needs_of(task), tuple(task.spec.placement.spread))


@dataclass(slots=True)
class Stuck:
    """Tasks with the same needs, which no node can meet, or not the one that they have."""

    text: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    unsaid: dict[str, None] = field(default_factory=dict)  # those that may not say why yet


class Waiting:
    """All waiting tasks."""

    def __init__(self) -> None:
        self.stuck: dict[Needs, Stuck] = {}
        self._needs_of_stuck: dict[str, Needs] = {}
        self._untried: dict[str, Entry] = {}
        self._known: dict[Needs, Needs] = {}
        self._oldest: list[Age] = []
        self._groups: dict[tuple[GroupKey, str], list[Age]] = {}

    def __bool__(self) -> bool:
        return bool(self._untried)

    def add(self, task: objects_pb2.Task) -> None:
        """A task to be tried; one that waits already stays where it is."""
        if task.id not in self._untried and task.id not in self._needs_of_stuck:
            entry = Entry.of(task)
            entry.needs = self._shared(entry.needs)
            self._push(entry)

    def discard(self, task_id: str) -> None:
        """Forgets the task, if it waits."""
        self._untried.pop(task_id, None)
        needs = self._needs_of_stuck.pop(task_id, None)
        if needs is not None:
            stuck = self.stuck[needs]
            del stuck.entries[task_id]
            stuck.unsaid.pop(task_id, None)
            if not stuck.entries:
                del self.stuck[needs]

    def retry(self, needs: Needs) -> None:
        """All tasks with these needs are to be tried again."""
        for entry in self.stuck.pop(needs).entries.values():
            del self._needs_of_stuck[entry.id]
            self._push(entry)

    def give_up(self, entry: Entry) -> None:
        """The task, just taken, fits nowhere."""
        stuck = self.stuck.setdefault(entry.needs, Stuck())
        stuck.entries[entry.id] = entry
        stuck.unsaid[entry.id] = None
        self._needs_of_stuck[entry.id] = entry.needs

    def put_back(self, entries: list[Entry]) -> None:
        """The tasks, just taken, were not tried after all."""
        for entry in entries:
            self._push(entry)

    def take_group(self, limit: int) -> list[Entry]:
        """The oldest untried task and the others of its group, oldest first, at most `limit`."""
        first = None
        while self._oldest and first is None:
            first = self._untried.get(heapq.heappop(self._oldest)[2])
        if first is None:
            return []
        taken: list[Entry] = []
        ages = self._groups[first.peers]
        while ages and len(taken) < limit:
            entry = self._untried.pop(heapq.heappop(ages)[2], None)
            if entry is not None:
                taken.append(entry)
        if not ages:
            del self._groups[first.peers]
        return taken

    def _shared(self, needs: Needs) -> Needs:
        """One object for equal needs: tasks of a kind are many."""
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        return self._known.setdefault(needs, needs)

    def _push(self, entry: Entry) -> None:
        self._untried[entry.id] = entry
        heapq.heappush(self._oldest, entry.age)
        heapq.heappush(self._groups.setdefault(entry.peers, []), entry.age)
