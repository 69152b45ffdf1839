"""Which tasks of a node have to have ended before another one begins to use their volume. Pure.

Managers see to it that no more tasks have a volume than its sharing allows; but one of which they
have heard that it is over, or that they ordered to end, may take a while to stop. Where two would
write that must not, the one that begins waits: always for an older hold of the volume, which is
over; for all but readers, where the volume is not for all; and on a volume of one node at a time
for the task whose place it takes, as a database does. It never waits for a task that is to go on.
"""

from collections.abc import Iterable, Iterator, Mapping

from api.states import SHUTDOWN
from api.v1 import dispatcher_pb2, objects_pb2, specs_pb2, volume_pb2
from worker.volume_book import Hold

Change = dispatcher_pb2.AssignmentChange
Message = dispatcher_pb2.AssignmentsMessage
Spec = specs_pb2.VolumeSpec
Task = objects_pb2.Task


class Turns:
    """The tasks of a node that have volumes of the swarm, while their containers may be here."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._tasks: dict[str, Task] = {}
        self._ending: dict[str, None] = {}
        for task in tasks:
            self._put(task)

    def follow(self, message: Message) -> None:
        """Takes in what managers say of tasks. One that is theirs no more is still known."""
        named = [change for change in message.changes if change.HasField("task")]
        if message.type == Message.TYPE_COMPLETE:
            assigned = {change.task.id for change in named}
            self._ending.update(dict.fromkeys(self._tasks.keys() - assigned))
        for change in named:
            if change.action == Change.ACTION_UPDATE:
                self._put(change.task)
            elif change.task.id in self._tasks:
                self._ending[change.task.id] = None

    def forget(self, task_id: str) -> None:
        """Its container is gone."""
        if task_id in self._ending:
            del self._tasks[task_id], self._ending[task_id]

    def before(
        self,
        task: Task,
        attachment: objects_pb2.VolumeAttachment,
        item: volume_pb2.NodeVolume,
        users: Mapping[Hold, Iterable[str]],
    ) -> Iterator[str]:
        """The tasks that the one waits for. `users`: who has which holds of the volume here."""
        for hold, names in users.items():
            for name in names:
                is_older = hold.epoch < attachment.epoch
                if name != task.id and (is_older or self._excludes(name, task, attachment, item)):
                    yield name

    def _put(self, task: Task) -> None:
        if not task.volumes:
            return
        self._tasks[task.id] = task
        if task.desired_state >= SHUTDOWN:
            self._ending[task.id] = None

    def _excludes(
        self,
        name: str,
        task: Task,
        attachment: objects_pb2.VolumeAttachment,
        item: volume_pb2.NodeVolume,
    ) -> bool:
        other = self._tasks.get(name)
        if other is not None and name not in self._ending:
            return False
        if item.sharing == Spec.SHARING_NONE:
            return True
        both_write = not attachment.read_only and (other is None or _writes(other, item.id))
        if item.sharing == Spec.SHARING_ALL:
            is_narrow = item.access == Spec.ACCESS_SINGLE_WRITER
            return is_narrow and both_write and other is not None and _is_same_place(other, task)
        return both_write and item.sharing == Spec.SHARING_ONEWRITER


def _writes(task: Task, volume_id: str) -> bool:
    return any(v.volume_id == volume_id and not v.read_only for v in task.volumes)


def _is_same_place(one: Task, other: Task) -> bool:
    mine, its = (one.service_id, one.slot), (other.service_id, other.slot)
    return bool(one.service_id) and mine == its
