"""Why a task finds no node: what every filter says of every node, and the smallest changes by which
it would fit somewhere.

Asks the very pipeline that places tasks, over nodes counted from the state alone, so that any
manager can tell. May be asked of a hundred thousand nodes: it goes on in pieces, and whoever drives
it lets others get their turn in between. Changes nothing. Pure.
"""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import islice, product

from api.v1 import objects_pb2
from manager.scheduler.nodes import NodeInfo, NodeSet
from manager.scheduler.pipeline import Needs, Pipeline, Ruling, Tally, needs_of, succeeded_on
from manager.scheduler.remedies import obstacles
from manager.scheduler.remedy import Case, Obstacle, Remedy
from manager.scheduler.volumes import Volumes
from manager.state.changes import copy
from manager.state.store import View

Node = objects_pb2.Node
Task = objects_pb2.Task

COUNTED = 16
"""Objects that are counted between two moments at which others may get their turn."""
MAX_PROPOSALS = 3
MAX_TRIALS = 200
"""Changes that are tried before proposing no more."""
MAX_WAYS = 32
"""Combinations of remedies that are thought of for one node."""


@dataclass(slots=True)
class Row:
    """One node. `ways`: what would make it fit, as far as single remedies tell, smallest first."""

    node: NodeInfo
    fits: bool
    ways: list[tuple[Remedy, ...]] = field(default_factory=list)

    @property
    def obstacles(self) -> int:
        """How many changes it takes; 0 if it fits, or if nothing is known to help."""
        return len(self.ways[0]) if self.ways else 0

    @property
    def rank(self) -> tuple[bool, bool, int, float, str, str]:
        """The least is the nearest to fitting."""
        size = _size(self.ways[0]) if self.ways else 0.0
        hostname = self.node.node.description.hostname
        return not self.fits, not self.ways, self.obstacles, size, hostname, self.node.id


@dataclass(frozen=True, slots=True)
class Proposal:
    """Changes that, made together, let the task fit on the node."""

    node: NodeInfo
    steps: tuple[Remedy, ...]


class Inquiry:
    """About one task that waits."""

    def __init__(self, view: View, task: Task, *, rows: int) -> None:
        """`rows`: how many nodes are to be told of."""
        self._most = max(rows, MAX_TRIALS)
        self._view = view
        self._task = task
        self._needs: Needs = needs_of(task)
        self._succeeded = succeeded_on(task, self._needs, view)
        self._volumes = Volumes.of(view)
        self._pipeline = Pipeline(volumes=self._volumes)
        self._pipeline.turn_to(task, self._needs)
        self.rows: list[Row] = []
        """Of the nodes in question, the nearest to fitting first."""
        self.nodes = 0
        """How many are in question."""
        self.proposals: list[Proposal] = []
        self._hostnames: Counter[str] = Counter()
        self.reason = ""
        """Why no node fits, in the scheduler's words; empty if one does."""

    def go_on(self) -> Generator[None, None, None]:
        """Finds it out; may be left for others' sake wherever it yields."""
        nodes = yield from counted(self._view)
        infos = nodes.in_question(self._needs.node_id)
        self.nodes = len(infos)
        self._hostnames = Counter(info.node.description.hostname for info in nodes.all())
        for info in infos:
            self.rows.append(self._row(info))
            if len(self.rows) > 2 * self._most:
                self._keep_nearest()
            yield
        self._keep_nearest()
        if self.rows and self.rows[0].fits:
            return
        tally = Tally(infos)
        while tally.go_on(self._pipeline, COUNTED):
            yield
        self.reason = tally.reason(self._pipeline)
        yield from self._propose()

    def _keep_nearest(self) -> None:
        self.rows = sorted(self.rows, key=lambda row: row.rank)[: self._most]

    def name(self, info: NodeInfo) -> str:
        """What people call the node: its hostname, unless another node has the same."""
        hostname = info.node.description.hostname
        return hostname if hostname and self._hostnames[hostname] == 1 else info.id

    def rulings(self, row: Row) -> list[Ruling]:
        """What each filter says of the node."""
        return self._pipeline.rulings(row.node, succeeds=self._succeeds(row.node))

    def _row(self, info: NodeInfo) -> Row:
        succeeds = self._succeeds(info)
        if self._pipeline.accepts(info, succeeds=succeeds):
            return Row(info, fits=True)
        case = self._case(info)
        found: list[Obstacle] = []
        for each in self._pipeline.rulings(info, succeeds=succeeds):
            if not each.passes:
                found += obstacles(each.filter, case)
        ways = sorted(islice(product(*found), MAX_WAYS), key=_size)
        return Row(info, fits=False, ways=ways)

    def _succeeds(self, info: NodeInfo) -> bool:
        return info.id in self._succeeded

    def _case(self, info: NodeInfo) -> Case:
        there = self._view.tasks_of_node(info.id) if self._task.host_ports else []
        return Case(self._task, info, self.name(info), there, self._succeeds(info), self._volumes)

    def _propose(self) -> Generator[None, None, None]:
        """Tries what is thought of, the smallest first; no node and no change is proposed twice."""
        said: set[tuple[str, ...]] = set()
        heap = [
            (row.obstacles, _size(row.ways[0]), number, 0)
            for number, row in enumerate(self.rows)
            if row.ways
        ]
        heapify(heap)
        for _ in range(MAX_TRIALS):
            if not heap or len(self.proposals) == MAX_PROPOSALS:
                return
            yield
            _, _, number, place = heappop(heap)
            row = self.rows[number]
            texts = tuple(remedy.text for remedy in row.ways[place])
            if texts in said:
                continue
            if self._would_fit(row.node, row.ways[place]):
                said.add(texts)
                self.proposals.append(Proposal(row.node, row.ways[place]))
            elif place + 1 < len(row.ways):
                way = row.ways[place + 1]
                heappush(heap, (len(way), _size(way), number, place + 1))

    def _would_fit(self, info: NodeInfo, way: tuple[Remedy, ...]) -> bool:
        """Whether the pipeline would accept the node, were these changes made."""
        node, task = copy(info.node), copy(self._task)
        for remedy in way:
            if remedy.on_node is not None:
                remedy.on_node(node)
            if remedy.on_task is not None:
                remedy.on_task(task)
        volumes = self._volumes
        if any(remedy.on_volumes is not None for remedy in way):
            volumes = Volumes.of(self._view)
            for remedy in way:
                if remedy.on_volumes is not None:
                    remedy.on_volumes(volumes)
        gone = {remedy.ends for remedy in way}
        nodes = NodeSet()
        nodes.describe(node.id, node)
        for each in self._view.tasks_of_node(node.id):
            if each.id not in gone and each.id != task.id:
                nodes.put(each)
        changed = nodes.get(node.id)
        pipeline = Pipeline(volumes=volumes)
        pipeline.turn_to(task)
        return changed is not None and pipeline.accepts(changed, succeeds=self._succeeds(info))


def counted(view: View) -> Generator[None, None, NodeSet]:
    """All nodes with what the tasks on them hold, as the scheduler counts it."""
    nodes = NodeSet()
    tasks = list(view.all(Task))
    for number, node in enumerate(list(view.all(Node))):
        nodes.describe(node.id, node)
        if number % COUNTED == 0:
            yield
    for number, task in enumerate(tasks):
        nodes.put(task)
        if number % COUNTED == 0:
            yield
    return nodes


def _size(way: tuple[Remedy, ...]) -> float:
    return sum(remedy.size for remedy in way)
