"""What one node is to be told of its tasks: everything once, then what changed. Pure.

With the tasks go the secrets and configs that they need (files.py), and what the node has to know
of networks (networks.py), before those who need them. So an endpoint that serves no more is told
before its task is to be stopped.

A node is told of every task that the scheduler gave it, until the task is gone from the store: it
must stop those with desired state `shutdown` or `remove`, and may hold ended ones so that their
logs can still be read. A change of the observed status alone is no news to it, since it was the
node that reported it (SwarmKit, manager/dispatcher/assignments.go).

Messages form a chain: each applies to the state that the one before results in. A message stays
under MAX_BYTES. Where the complete set does not fit, what does not fit is in the COMPLETE message
without its spec, so that a node which holds it keeps it, and follows whole in INCREMENTAL messages.
The last message of what is told at once names the version of the state that the node knows by it.
"""

from collections.abc import Callable, Iterable, Iterator

from api.states import ASSIGNED, RUNNING
from api.v1 import dispatcher_pb2, objects_pb2
from manager.dispatcher import files
from manager.dispatcher.catalogue import Key
from manager.dispatcher.networks import NodeNetworks
from manager.dispatcher.volumes import NodeVolumes, no_volume
from manager.state.changes import copy

MAX_CHANGES = 100
"""Changes in one incremental message (SwarmKit)."""
QUIET = 0.005
LONGEST_WAIT = 0.1
"""Seconds without further news after which news goes out, and how long it waits at most."""
MAX_BYTES = 3 << 20
"""Task bytes in one message; gRPC receives 4 MiB at most unless told otherwise."""

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Task = objects_pb2.Task
Volume = objects_pb2.Volume


class Assignments:
    """What one node was told so far, and what it has yet to be told."""

    def __init__(
        self,
        node_id: str,
        find: files.Find,
        networks: NodeNetworks,
        as_told: Callable[[Task], Task] = lambda task: task,
        volumes: NodeVolumes | None = None,
    ) -> None:
        """`find`: looks up secrets and configs. `networks`: what the node is told of them.

        `as_told`: a task with what its node needs and the store keeps elsewhere. `volumes`: what
        the node is told of them.
        """
        self._node_id = node_id
        self._files = files.NodeFiles(find)
        self._networks = networks
        self._volumes = volumes or NodeVolumes(node_id, no_volume)
        self._as_told = as_told
        self._told: dict[str, Task] = {}
        self._news: dict[str, Task | None] = {}
        self._drained: dict[str, None] = {}
        self._sequence = 0
        self._version: int | None = None
        self._first_at = 0.0
        self._last_at = 0.0

    def due(self) -> float | None:
        """When to `flush` (0: at once); None while there is no news. Times as in `observe`."""
        if not self._has_news:
            return None
        news = len(self._news) + len(self._drained) + self._networks.news + self._volumes.news
        if news >= MAX_CHANGES:
            return 0.0
        return min(self._last_at + QUIET, self._first_at + LONGEST_WAIT)

    def complete(
        self,
        tasks: Iterable[Task],
        version: int = 0,
        drained: Iterable[str] = (),
        volumes: Iterable[Volume] = (),
    ) -> list[Message]:
        """The messages that begin the stream, from all tasks and volumes that the store has for the
        node.

        `version`: of the state that is known here at the least. `drained`: see `drain`.
        """
        wanted = sorted((task for task in tasks if self._concerns(task)), key=_urgency)
        self._told = {task.id: task for task in wanted}
        self._news.clear()
        forms = [(files.whole(file), files.outline(file)) for file in self._files.begin(wanted)]
        forms += self._networks.begin(wanted)
        forms += [(change, change) for change in self._volumes.begin(volumes)]
        forms += [(_update(self._as_told(task)), _update(_outline(task))) for task in wanted]
        self._drained.clear()
        forms += [(_drained(task_id), _drained(task_id)) for task_id in drained]
        message = Message(type=Message.TYPE_COMPLETE)
        room = MAX_BYTES - sum(outline.ByteSize() for _, outline in forms)
        late: list[Change] = []
        for whole, outline in forms:
            size = whole.ByteSize()
            if size <= room:
                room -= size
                message.changes.append(whole)
            else:
                message.changes.append(outline)
                late.append(whole)
        late += self._volumes.removals()
        return self._tagged([self._chained(message), *self._incremental(late)], version)

    def observe(self, task_id: str, task: Task | None, now: float) -> None:
        """Takes note of a task as it is now; None: it was deleted. `now`: monotonic seconds."""
        told = self._told.get(task_id)
        present = task if task is not None and self._concerns(task) else None
        had_news, beside = self._has_news, self._files.has_news + self._networks.news
        self._files.observe(task_id, present)
        self._networks.observe(task_id, present)
        is_news = _is_news(told, present)
        if is_news:
            self._news[task_id] = present
        else:
            # The node may have been about to hear of a change that was taken back since.
            self._news.pop(task_id, None)
        if is_news or self._files.has_news + self._networks.news > beside:
            self._first_at = self._first_at if had_news else now
            self._last_at = now

    def observe_networks(self, keys: Iterable[Key], now: float) -> None:
        """Takes note of items of networks that are different now, or gone, as `observe` does."""
        had_news, before = self._has_news, self._networks.news
        self._networks.changed(keys)
        if self._networks.news > before:
            self._first_at = self._first_at if had_news else now
            self._last_at = now

    def observe_volume(self, volume_id: str, now: float) -> None:
        """Takes note of a volume that is different now, or gone, as `observe` does."""
        had_news, before = self._has_news, self._volumes.news
        self._volumes.changed(volume_id)
        if self._volumes.news > before:
            self._first_at = self._first_at if had_news else now
            self._last_at = now

    def drain(self, task_id: str, now: float) -> None:
        """Nobody is led to this task any more, which is to be stopped; `now` as of `observe`."""
        self._first_at = self._first_at if self._has_news else now
        self._last_at = now
        self._drained[task_id] = None

    def resync(self, tasks: Iterable[Task], now: float, volumes: Iterable[Volume] = ()) -> None:
        """As `observe` of everything, after events were lost; `tasks`, `volumes`: all the store has
        of it.
        """
        present = {task.id: task for task in tasks}
        for task_id in [*self._told, *self._news]:
            if task_id not in present:
                self.observe(task_id, None, now)
        for task_id, task in present.items():
            self.observe(task_id, task, now)
        self._networks.resync()
        self._volumes.resync(volumes)
        self._first_at = self._last_at = now

    def flush(self, version: int = 0) -> list[Message]:
        """Messages with everything that the node has yet to be told; `version` as of `complete`."""
        changes = [*self._files.updates(), *self._networks.updates(), *self._volumes.updates()]
        for task_id, task in self._news.items():
            if task is None:
                del self._told[task_id]
                changes.append(Change(action=Change.ACTION_REMOVE, task=Task(id=task_id)))
            else:
                self._told[task_id] = task
                changes.append(_update(self._as_told(task)))
        self._news.clear()
        changes += map(_drained, self._drained)
        self._drained.clear()
        changes += [*self._files.removals(), *self._networks.removals()]
        changes += self._volumes.removals()
        return self._tagged(list(self._incremental(changes)), version)

    def confirmed(self, applied: int, present: int) -> int:
        """The version up to which the node has carried out all that concerns it.

        `applied`: what it says; `present`: the version up to which everything was observed here. Of
        what concerns it not, it was told nothing, and so knows nothing else.
        """
        if self._version is None or applied < self._version or self._has_news:
            return applied
        return present

    @property
    def _has_news(self) -> bool:
        news = self._news or self._drained or self._networks.news or self._volumes.news
        return bool(news) or self._files.has_news

    def _tagged(self, messages: list[Message], version: int) -> list[Message]:
        if messages:
            messages[-1].version = self._version = version
            messages[-1].confirm = self._networks.sent(version)
        return messages

    def _concerns(self, task: Task) -> bool:
        # A global service's task has its node from birth, but is the node's only once assigned.
        if task.node_id != self._node_id or task.status.state < ASSIGNED:
            return False
        return not task.volumes or self._volumes.are_open(task)

    def _incremental(self, changes: Iterable[Change]) -> Iterator[Message]:
        message, size = Message(type=Message.TYPE_INCREMENTAL), 0
        for change in changes:
            size += change.ByteSize()
            if message.changes and (len(message.changes) >= MAX_CHANGES or size > MAX_BYTES):
                yield self._chained(message)
                message, size = Message(type=Message.TYPE_INCREMENTAL), change.ByteSize()
            message.changes.append(change)
        if message.changes:
            yield self._chained(message)

    def _chained(self, message: Message) -> Message:
        message.applies_to = str(self._sequence) if self._sequence else ""
        self._sequence += 1
        message.results_in = str(self._sequence)
        return message


def _is_news(told: Task | None, present: Task | None) -> bool:
    if told is None or present is None:
        return told is not present
    return not same_for_agent(told, present)


def same_for_agent(one: Task, other: Task) -> bool:
    """Whether two versions of a task differ only in what the agent itself observes."""
    if one.desired_state != other.desired_state or one.spec_version != other.spec_version:
        return False
    return _stable(one) == _stable(other)


def _stable(task: Task) -> Task:
    stable = copy(task)
    stable.ClearField("status")
    stable.ClearField("meta")
    # Whether they were given back is the managers' affair; else they never change.
    stable.ClearField("networks")
    return stable


def _update(task: Task) -> Change:
    return Change(action=Change.ACTION_UPDATE, task=task)


def _drained(task_id: str) -> Change:
    drained = dispatcher_pb2.DrainedTask(task_id=task_id)
    return Change(action=Change.ACTION_UPDATE, drained=drained)


def _outline(task: Task) -> Task:
    """The task as far as a node needs it that holds its spec already."""
    outline = copy(task)
    outline.ClearField("spec")
    outline.ClearField("service_labels")
    return outline


def _urgency(task: Task) -> int:
    """What must be whole first: tasks to start, then those that run, then those that ended."""
    if task.status.state <= ASSIGNED:
        return 0
    return 1 if task.status.state <= RUNNING else 2
