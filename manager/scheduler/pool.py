"""The nodes that could ever take tasks with certain lasting needs, by their number of tasks.

Shared by all services with such needs. Finds the best node itself for a task whose service has few
others; for services with many tasks it is what their own orders begin with (see `ranking`).
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from manager.placement.constraint import label_of
from manager.scheduler.journal import Journal
from manager.scheduler.nodes import GroupKey, NodeInfo, NodeSet
from manager.scheduler.outlook import Outlook, Refused
from manager.scheduler.pipeline import Pipeline
from manager.scheduler.spread import NoAnswer, rank
from manager.scheduler.tree import Path, Rank, Tree

_BEST = (False, 0)
"""Not faulty, and no task of the service: among such nodes the number of tasks decides."""


class LeastLoaded:
    """The order for a service that has no task anywhere, as far as it is the same for all.

    `spread`: the labels that tasks are to be spread over. Brought up to date piece by piece: the
    journal tells which nodes were touched, and `refresh` looks at so many of them at a time.
    """

    SCANNED = 32
    """Nodes that are looked at for one task: where more would be, a Ranking is worth its making."""

    def __init__(self, nodes: NodeSet, journal: Journal, spread: Sequence[str] = ()) -> None:
        self._nodes = nodes
        self._journal = journal
        self._read = journal.now
        self._labels = [label_of(descriptor) for descriptor in spread]
        self._touched = dict.fromkeys(nodes.ids(), True)  # whether the node itself has changed
        self.tree = Tree()
        """The nodes that pass. Only looked at by others, as all that follows."""
        self.paths: dict[str, Path] = {}
        """Where in the tree a node belongs, also one that does not pass."""
        self.refused = Refused()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was touched since it was looked at."""
        return not self._touched and self._read == self._journal.now

    @property
    def has_seen_changes(self) -> bool:
        """Whether it is fresh, but for what tasks did on the nodes."""
        return not self._touched and self._read >= self._journal.last_change

    def refresh(self, pipeline: Pipeline, limit: int) -> int:
        """Looks at so many of the touched nodes; how many it has looked at."""
        if self._read < self._journal.now:
            self._take_note()
        done = 0
        while self._touched and done < limit:
            node_id, is_other = self._touched.popitem()
            node = self._nodes.get(node_id)
            if is_other or node is None:
                self._place(node_id, node, pipeline)
            else:
                self.tree.put(self.paths[node_id], node_id, (False, 0, node.tasks))
            done += 1
        return done

    def first(self, group: GroupKey, pipeline: Pipeline, now: float) -> NodeInfo | None:
        """The first node, if it is the best; nothing may be touched, as for all that follows.

        Only where tasks are spread over no labels, as `best` too.
        """
        first = self.tree.first()
        node = None if first is None else self._nodes.get(first)
        if node is None or rank(node, group, now)[:2] != _BEST or not pipeline.passes_for_now(node):
            return None
        return node

    def best(self, group: GroupKey, pipeline: Pipeline, now: float) -> NodeInfo | NoAnswer | None:
        """The best node, None if there is none, or TOO_FAR."""
        found: tuple[tuple[Rank, str], NodeInfo] | None = None
        with closing(self.tree.ascending()) as names:
            for count, name in enumerate(names):
                if count == self.SCANNED:
                    return NoAnswer.TOO_FAR
                node = self._nodes.get(name)
                if node is None or not pipeline.passes_for_now(node):
                    continue
                place = rank(node, group, now)
                if place[:2] == _BEST:
                    return node  # nothing later in this order can be better
                if found is None or (place, name) < found[0]:
                    found = ((place, name), node)
        return found[1] if found else None

    def outlook(self, count: int, group: GroupKey, pipeline: Pipeline, now: float) -> Outlook:
        """The best `count` nodes among the first, as `best` sees them."""
        found: list[tuple[Rank, str, NodeInfo]] = []
        full: Counter[str] = Counter()
        best = seen = 0
        with closing(self.tree.ascending()) as names:
            for name in names:
                node = self._nodes.get(name)
                if node is None:
                    continue
                refusing = pipeline.refusing(node)
                if refusing is not None:
                    full[refusing.name] += 1
                else:
                    place = rank(node, group, now)
                    found.append((place, name, node))
                    best += place[:2] == _BEST
                seen += 1
                if best >= count or seen >= self.SCANNED:
                    break
        found.sort()
        nodes = [node for *_, node in found[:count]]
        passing = len(self.paths) - len(self.refused)
        return Outlook(
            nodes, passing - full.total(), self.refused.counts + full, partial=seen < passing
        )

    def _take_note(self) -> None:
        for node_id in self._journal.since(self._read):
            if node_id in self.paths and node_id not in self.refused:
                self._touched.setdefault(node_id, False)
        if self._read < self._journal.last_change:
            for node_id in self._journal.changed_since(self._read):
                self._touched[node_id] = True
        self._read = self._journal.now

    def _place(self, node_id: str, node: NodeInfo | None, pipeline: Pipeline) -> None:
        old = self.paths.pop(node_id, None)
        if old is not None:
            self.tree.drop(old, node_id)
            self.refused.forget(node_id)
        if node is None:
            return
        path = self.paths[node_id] = tuple([label(node.node) for label in self._labels])
        if pipeline.passes_for_good(node):
            self.tree.put(path, node_id, (False, 0, node.tasks))
        else:
            self.refused.note(node, pipeline)
