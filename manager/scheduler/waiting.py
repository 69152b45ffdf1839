"""The tasks that wait for a node: those that are yet to be tried, and those that fit nowhere.

Tasks are taken oldest first, together with all others of their group. Those that fit nowhere are
kept by their needs, because tasks with equal needs share the verdict and the words for it.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from api import states
from api.v1 import objects_pb2
from manager.scheduler.line import Line
from manager.scheduler.nodes import GroupKey
from manager.scheduler.pipeline import Needs, needs_of

MAX_KNOWN = 1000
"""Different needs and the like that are remembered, so that equal ones are kept once."""

K = TypeVar("K")

_Peers = tuple[GroupKey, str]
"""The group of tasks, and the node that they have already, if they have one."""


def is_waiting(task: objects_pb2.Task) -> bool:
    """Whether the scheduler is to find a node for the task, or to say whether its own fits."""
    return task.status.state == states.PENDING and states.is_live(task)


class Entry(NamedTuple):
    """A waiting task, without what changes while it waits. The least is the oldest.

    What comes after the id decides between entries of one task: nothing in it is rewritten.
    """

    seconds: int
    nanos: int
    id: str
    group: GroupKey
    needs: Needs
    spread: tuple[str, ...]

    @property
    def peers(self) -> _Peers:
        """What it shares with the tasks that are placed together with it."""
        return (self.group, self.needs.node_id)

    @classmethod
    def of(cls, task: objects_pb2.Task) -> "Entry":
        """What is to be remembered of the task."""
        created = task.meta.created_at
        group = (task.service_id or task.id, task.spec_version)
        spread = tuple(task.spec.placement.spread)
        return cls(created.seconds, created.nanos, task.id, group, needs_of(task), spread)


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
        self._known: dict[Any, Any] = {}
        self._groups: dict[_Peers, list[Entry]] = {}  # heaps, also of tasks that are gone
        self._oldest: Line[Entry] = Line()  # of each group, and such as were that before
        self._peers: _Peers = (("", 0), "")  # whose turn it is
        self._turn = 0  # how many more of them are taken before others

    def __bool__(self) -> bool:
        return bool(self._untried)

    def add(self, task: objects_pb2.Task) -> None:
        """A task to be tried; one that waits already stays where it is."""
        if task.id not in self._untried and task.id not in self._needs_of_stuck:
            seconds, nanos, task_id, group, needs, spread = Entry.of(task)
            shared = self._shared
            entry = Entry(seconds, nanos, task_id, shared(group), shared(needs), shared(spread))
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
        """The tasks, just taken, were not tried after all; it is still their group's turn."""
        for entry in entries:
            self._push(entry)
        self._turn += len(entries)

    def take_group(self, limit: int, turn: int = 0) -> list[Entry]:
        """The oldest untried task and the others of its group, oldest first, at most `limit`.

        `turn`: the same group is taken from again until so many of its tasks were.
        """
        if self._turn > 0 and (taken := self._take(min(limit, self._turn))):
            return taken
        while self._oldest:
            oldest = self._oldest.pop()
            peers = oldest.peers
            entries = self._groups.get(peers)
            if not entries or entries[0] is not oldest:
                continue  # for another of them the group stands in line again
            if self._untried.get(oldest.id) is not oldest:
                self._line_up(peers)
            elif len(entries) == 1:  # as most are: this is the short way to the same
                del self._untried[oldest.id], self._groups[peers]
                self._peers, self._turn = peers, 0
                return [oldest]
            else:
                self._peers, self._turn = peers, max(turn, limit)
                return self._take(limit)
        return []

    def _take(self, limit: int) -> list[Entry]:
        """So many of the group whose turn it is; the others stand in line again."""
        taken: list[Entry] = []
        entries = self._groups.get(self._peers, [])
        while entries and len(taken) < limit:
            entry = heapq.heappop(entries)
            if self._untried.get(entry.id) is entry:
                del self._untried[entry.id]
                taken.append(entry)
        self._turn = self._turn - len(taken) if self._line_up(self._peers) else 0
        return taken

    def _line_up(self, peers: _Peers) -> bool:
        """Puts the group in line by its oldest task; whether it has any."""
        entries = self._groups.get(peers)
        while entries and self._untried.get(entries[0].id) is not entries[0]:
            heapq.heappop(entries)
        if entries:
            self._oldest.push(entries[0])
            return True
        self._groups.pop(peers, None)
        return False

    def _shared(self, value: K) -> K:
        """One object for equal ones: tasks of a kind are many."""
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        known: K = self._known.setdefault(value, value)
        return known

    def _push(self, entry: Entry) -> None:
        entries = self._groups.setdefault(entry.peers, [])
        heapq.heappush(entries, entry)
        if entries[0] is entry:
            self._oldest.push(entry)
        self._untried[entry.id] = entry
