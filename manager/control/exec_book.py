"""Commands that operators run in tasks: on which node, how far, and when to give up. Pure.

A session is asked for at the task's node, attached by its agent, started, and over when either
side leaves. A node that is down, or says nothing in time, is an error at once or within seconds,
never a wait: nobody shall look at a dead terminal. An idle session may last as long as it likes.

Times are monotonic seconds.
"""

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum, auto

from api.errors import Code, SwarmError
from api.states import RUNNING, state_name, task_name
from api.v1 import objects_pb2, types_pb2
from manager.state.store import View

ATTACH_LIMIT = 5.0
"""Seconds that a node has to listen and attach."""
START_LIMIT = 30.0
"""Seconds that it then has to start the command; a busy node may queue it."""
MOST = 256
MOST_PER_NODE = 64
"""Sessions at a time."""

Node = objects_pb2.Node
Task = objects_pb2.Task


class Phase(Enum):
    """How far a session is."""

    WAITING = auto()  # the node does not listen yet
    ASKED = auto()
    ATTACHED = auto()
    RUNNING = auto()


@dataclass(slots=True)
class _Entry:
    task_id: str
    node_id: str
    phase: Phase
    deadline: float | None


class ExecBook:
    """All sessions of one manager, by id."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def open(self, view: View, session_id: str, task_id: str, now: float) -> None:
        """A session begins. NOT_FOUND, REFUSED, UNAVAILABLE or EXHAUSTED if there can be none."""
        task = view.get(Task, task_id)
        if task is None:
            raise SwarmError(
                Code.NOT_FOUND, f"there is no task {task_id}", remedy="see: swarmctl task ls"
            )
        if task.status.state != RUNNING:
            raise _not_running(task)
        trouble = _trouble(view, task.node_id)
        if trouble:
            raise _unreachable(view, task.node_id, trouble)
        here = sum(entry.node_id == task.node_id for entry in self._entries.values())
        if len(self._entries) >= MOST or here >= MOST_PER_NODE:
            limit = f"{MOST_PER_NODE} on one node" if here >= MOST_PER_NODE else f"{MOST} in all"
            raise SwarmError(
                Code.EXHAUSTED,
                f"no more commands can be run at a time: the limit is {limit}",
                remedy="end some of them",
            )
        self._entries[session_id] = _Entry(task_id, task.node_id, Phase.WAITING, now + ATTACH_LIMIT)

    def ask(self, listening: Container[str]) -> list[tuple[str, str]]:
        """What nodes are to be told now: (node id, session id)."""
        asked = []
        for session_id, entry in self._entries.items():
            if entry.phase is Phase.WAITING and entry.node_id in listening:
                entry.phase = Phase.ASKED
                asked.append((entry.node_id, session_id))
        return asked

    def listens(self, node_id: str) -> None:
        """The node's agent begins to listen, and has forgotten what it was asked before."""
        for entry in self._entries.values():
            if entry.node_id == node_id and entry.phase is Phase.ASKED:
                entry.phase = Phase.WAITING

    def attach(self, session_id: str, node_id: str, now: float) -> None:
        """The node takes the session; DENIED if that is not its own, REFUSED if it has it already,
        NOT_FOUND if it is over.
        """
        entry = self._entries.get(session_id)
        if entry is None:
            raise closed(session_id)
        if entry.node_id != node_id:
            raise SwarmError(
                Code.DENIED,
                f"node {node_id} may not attach to exec session {session_id}",
                why="it was not asked",
            )
        if entry.phase not in (Phase.WAITING, Phase.ASKED):
            raise SwarmError(Code.REFUSED, f"exec session {session_id} is attached already")
        entry.phase, entry.deadline = Phase.ATTACHED, now + START_LIMIT

    def started(self, session_id: str) -> None:
        """The command runs: from now on the session may be silent for ever."""
        if (entry := self._entries.get(session_id)) is not None:
            entry.phase, entry.deadline = Phase.RUNNING, None

    def close(self, session_id: str) -> str:
        """The session is over; the node that is to be told so, if there is one."""
        entry = self._entries.pop(session_id)
        return "" if entry.phase is Phase.WAITING else entry.node_id

    def node_of(self, session_id: str) -> str:
        """The node of an open session."""
        return self._entries[session_id].node_id

    def due(self, session_id: str) -> float | None:
        """When to look at `trouble` again, if nothing changes before."""
        return self._entries[session_id].deadline

    def trouble(self, view: View, session_id: str, now: float) -> SwarmError | None:
        """Why the session cannot go on, if it cannot."""
        entry = self._entries[session_id]
        trouble = _trouble(view, entry.node_id)
        if not trouble and entry.deadline is not None and entry.deadline <= now:
            limit = START_LIMIT if entry.phase is Phase.ATTACHED else ATTACH_LIMIT
            trouble = f"has not answered within {limit:g} s"
        return _unreachable(view, entry.node_id, trouble) if trouble else None

    def lost(self, view: View, session_id: str) -> SwarmError:
        """The node left in the middle of the session."""
        return _unreachable(view, self._entries[session_id].node_id, "does not answer any more")


def closed(session_id: str) -> SwarmError:
    """Nobody waits for this command any more."""
    return SwarmError(
        Code.NOT_FOUND,
        f"exec session {session_id or '(none)'} is not open",
        why="its client left, or another manager leads now",
    )


def _not_running(task: Task) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"no command can be run in task {task_name(task)}",
        why=f"it is {state_name(task.status.state).lower()}",
        remedy="see which tasks run: swarmctl task ls --filter desired-state=running",
    )


def _trouble(view: View, node_id: str) -> str:
    node = view.get(Node, node_id)
    if node is None:
        return "was removed"
    return "is down" if node.status.state == types_pb2.NODE_STATE_DOWN else ""


def _unreachable(view: View, node_id: str, trouble: str) -> SwarmError:
    node = view.get(Node, node_id)
    hostname = "" if node is None else node.description.hostname
    name = f"node {hostname} ({node_id})" if hostname else f"node {node_id}"
    return SwarmError(
        Code.UNAVAILABLE,
        f"{name} {trouble}",
        why="the command cannot be reached there, and ends if it runs",
        remedy="see: swarmctl node ls",
    )
