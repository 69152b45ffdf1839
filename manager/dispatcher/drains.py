"""Tasks that are to be stopped, and which nodes may lead connections to them yet. Pure.

A task in networks is stopped once no node leads new connections to it: a node has confirmed the
message by which its endpoint served no more, or was never told that it served. Nodes that are down
are not waited for. Nothing is stored: a new leader waits anew, for all nodes come to it anew.

How long a task waits at most is its own node's affair (worker/drains.py).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from api import states
from api.v1 import objects_pb2
from manager.dispatcher.catalogue import ENDPOINT, Key
from manager.state.networks import held

Task = objects_pb2.Task


@dataclass(frozen=True, slots=True)
class Drain:
    """A task that is to be stopped: its node, and its endpoints."""

    node_id: str
    endpoints: tuple[Key, ...]


class Drains:
    """All such tasks, and whom they wait for."""

    def __init__(
        self,
        nodes: Callable[[], Iterable[str]],
        may_lead: Callable[[str, Collection[Key]], bool],
        tell: Callable[[str, str], None],
    ) -> None:
        """`nodes`: all of them. `may_lead`: whether a node may lead connections to one of these
        endpoints. `tell`: hears of a node, and a task of it to which nobody leads any.
        """
        self._nodes = nodes
        self._may_lead = may_lead
        self._tell = tell
        self._drains: dict[str, Drain] = {}
        self._waits_for: dict[str, set[str]] = {}
        self._on_node: defaultdict[str, set[str]] = defaultdict(set)
        self._of_node: defaultdict[str, dict[str, None]] = defaultdict(dict)

    def begin(self, tasks: Iterable[Task]) -> None:
        """From the state as it is."""
        for held_here in (self._drains, self._waits_for, self._on_node, self._of_node):
            held_here.clear()
        for task in tasks:
            self.observe(task.id, task)

    def observe(self, task_id: str, task: Task | None) -> Collection[str]:
        """Takes note of a task as it is now; the nodes that it ended without waiting for."""
        if task is None or not _is_to_stop(task):
            return self._forget(task_id)
        if task_id not in self._drains:
            keys = tuple(Key(ENDPOINT, each.network_id, task_id) for each in held(task.networks))
            self._drains[task_id] = Drain(task.node_id, keys)
            self._of_node[task.node_id][task_id] = None
            self._waits_for[task_id] = {n for n in self._nodes() if self._may_lead(n, keys)}
            for node_id in self._waits_for[task_id]:
                self._on_node[node_id].add(task_id)
            self._tell_if_done(task_id)
        return ()

    def heard(self, node_id: str) -> None:
        """A node confirmed something, is down or gone."""
        for task_id in sorted(self._on_node.get(node_id, ())):
            if not self._may_lead(node_id, self._drains[task_id].endpoints):
                self._drop(node_id, task_id)
                self._tell_if_done(task_id)

    def done_on(self, node_id: str) -> list[str]:
        """The tasks of a node to which nobody leads connections any more."""
        return [each for each in self._of_node.get(node_id, ()) if not self._waits_for[each]]

    def _tell_if_done(self, task_id: str) -> None:
        if not self._waits_for[task_id]:
            self._tell(self._drains[task_id].node_id, task_id)

    def _forget(self, task_id: str) -> Collection[str]:
        drain = self._drains.get(task_id)
        if drain is None:
            return ()
        waited_for = sorted(self._waits_for[task_id])
        for node_id in waited_for:
            self._drop(node_id, task_id)
        del self._drains[task_id], self._waits_for[task_id]
        del self._of_node[drain.node_id][task_id]
        if not self._of_node[drain.node_id]:
            del self._of_node[drain.node_id]
        return waited_for

    def _drop(self, node_id: str, task_id: str) -> None:
        self._waits_for[task_id].discard(node_id)
        self._on_node[node_id].discard(task_id)
        if not self._on_node[node_id]:
            del self._on_node[node_id]


def _is_to_stop(task: Task) -> bool:
    running = task.status.state == states.RUNNING
    return running and not states.is_wanted(task) and any(True for _ in held(task.networks))
