"""Which secrets and configs one node needs for its tasks, and which it was told of. Pure.

A node needs a file while a task that is meant to run there uses it. Their data never changes, so
each is told once, and taken back once. What is not in the store cannot be told: a task that refers
to it waits on its node, and says so.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from api.files import Key
from api.states import RUNNING, SHUTDOWN
from api.v1 import dispatcher_pb2, objects_pb2
from manager.state.files import File, keys_of

Change = dispatcher_pb2.AssignmentChange
Find = Callable[[Key], File | None]
"""Looks a secret or config up in the store."""


class NodeFiles:
    """The files of one node."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._of_task: dict[str, frozenset[Key]] = {}
        self._users: Counter[Key] = Counter()
        self._told: set[Key] = set()
        self._news: dict[Key, None] = {}

    @property
    def has_news(self) -> bool:
        """Whether the node needs something else than it was told of."""
        return bool(self._news)

    def begin(self, tasks: Iterable[objects_pb2.Task]) -> list[File]:
        """Starts over: the files that these tasks need. They count as told from now on."""
        for held in (self._of_task, self._users, self._told, self._news):
            held.clear()
        for task in tasks:
            self.observe(task.id, task)
        return self._given()

    def observe(self, task_id: str, task: objects_pb2.Task | None) -> None:
        """Takes note of a task as it is now; None: it is the node's no longer."""
        needed = frozenset[Key]() if task is None or not _runs(task) else keys_of(task.spec)
        before = self._of_task.pop(task_id, frozenset[Key]())
        if needed:
            self._of_task[task_id] = needed
        for key in sorted(needed - before):
            self._count(key, 1)
        for key in sorted(before - needed):
            self._count(key, -1)

    def updates(self) -> list[Change]:
        """What the node is to be given, which counts as told by that."""
        return [whole(file) for file in self._given()]

    def removals(self) -> list[Change]:
        """What the node is to drop."""
        gone = [key for key in self._news if key in self._told]
        self._told.difference_update(gone)
        for key in gone:
            del self._news[key]
        return [removal(key) for key in gone]

    def _count(self, key: Key, by: int) -> None:
        self._users[key] += by
        if not self._users[key]:
            del self._users[key]
        if (key in self._users) == (key in self._told):
            self._news.pop(key, None)
        else:
            self._news[key] = None

    def _given(self) -> list[File]:
        """The files that are needed and were not told of, which they are by that."""
        fresh = [key for key in self._news if key not in self._told]
        self._told.update(fresh)
        for key in fresh:
            del self._news[key]
        return [file for file in map(self._find, fresh) if file is not None]


def whole(file: File) -> Change:
    """Gives the node a file: no more of it than its tasks may see."""
    if isinstance(file, objects_pb2.Secret):
        secret = objects_pb2.Secret(id=file.id)
        secret.spec.annotations.name = file.spec.annotations.name
        secret.spec.data = file.spec.data
        secret.spec.template_driver = file.spec.template_driver
        return Change(action=Change.ACTION_UPDATE, secret=secret)
    config = objects_pb2.Config(id=file.id)
    config.spec.annotations.name = file.spec.annotations.name
    config.spec.data = file.spec.data
    config.spec.template_driver = file.spec.template_driver
    return Change(action=Change.ACTION_UPDATE, config=config)


def outline(file: File) -> Change:
    """Lets the node keep a file that it has; it follows whole."""
    if isinstance(file, objects_pb2.Secret):
        return Change(action=Change.ACTION_UPDATE, secret=objects_pb2.Secret(id=file.id))
    return Change(action=Change.ACTION_UPDATE, config=objects_pb2.Config(id=file.id))


def removal(key: Key) -> Change:
    """Takes a file back."""
    kind, file_id = key
    if kind == "secret":
        return Change(action=Change.ACTION_REMOVE, secret=objects_pb2.Secret(id=file_id))
    return Change(action=Change.ACTION_REMOVE, config=objects_pb2.Config(id=file_id))


def _runs(task: objects_pb2.Task) -> bool:
    return task.status.state <= RUNNING and task.desired_state < SHUTDOWN
