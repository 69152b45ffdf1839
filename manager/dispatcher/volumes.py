"""What one node is told of volumes of the swarm, and what it has yet to be told. Pure.

A node hears of those that it holds, and of nobody else's. What it is to let go is taken back,
though it may not know of it: so that it says that it lets go, whatever became of the first word.
"""

from collections.abc import Callable, Iterable, Mapping

from api.times import duration
from api.v1 import dispatcher_pb2, objects_pb2, volume_pb2
from api.volumes import term_of
from manager.state.volumes import holder_of
from manager.volumes.known import as_driver_knows

Change = dispatcher_pb2.AssignmentChange
Holder = objects_pb2.VolumeHolder
Item = volume_pb2.NodeVolume
Volume = objects_pb2.Volume
Find = Callable[[str], Volume | None]
"""Looks a volume up in the store."""
Secrets = Callable[[Volume], Mapping[str, bytes]]
"""What a volume's driver is to be given in secret, by its own keys."""


def no_volume(_: str) -> Volume | None:
    """Where there are none."""


def no_secrets(_: Volume) -> Mapping[str, bytes]:
    """Where drivers ask for none."""
    return {}


class NodeVolumes:
    """The volumes of one node: each is told whole, or by its epoch alone that it is to let go."""

    def __init__(self, node_id: str, find: Find, secrets: Secrets = no_secrets) -> None:
        self._node_id = node_id
        self._find = find
        self._secrets = secrets
        self._told: dict[str, Item | int] = {}
        self._news: dict[str, None] = {}

    @property
    def news(self) -> int:
        """How many volumes the node may have yet to hear of."""
        return len(self._news)

    def are_open(self, task: objects_pb2.Task) -> bool:
        """Whether the node may know of the task: no storage has yet to let it in for that."""
        return not any(map(self._is_opening, task.volumes))

    def _is_opening(self, attachment: objects_pb2.VolumeAttachment) -> bool:
        volume = self._find(attachment.volume_id)
        holder = None if volume is None else holder_of(volume, self._node_id)
        if holder is None or holder.epoch != attachment.epoch:
            return False
        return holder.state == Holder.STATE_OPENING

    def begin(self, volumes: Iterable[Volume]) -> list[Change]:
        """Starts over: the volumes of the node, which count as told from now on; what it is to let
        go are news.
        """
        self._told.clear()
        self._news.clear()
        for volume in volumes:
            self.changed(volume.id)
        return self.updates()

    def changed(self, volume_id: str) -> None:
        """A volume is different now, or gone."""
        if self._wanted(volume_id) == self._told.get(volume_id):
            self._news.pop(volume_id, None)
        else:
            self._news[volume_id] = None

    def resync(self, volumes: Iterable[Volume]) -> None:
        """Any volume may be different; these are the node's."""
        for volume_id in [*self._told, *(each.id for each in volumes)]:
            self.changed(volume_id)

    def updates(self) -> list[Change]:
        """What the node is to be given, which counts as told by that."""
        found = []
        for volume_id in list(self._news):
            item = self._wanted(volume_id)
            if isinstance(item, Item):
                del self._news[volume_id]
                self._told[volume_id] = item
                found.append(Change(action=Change.ACTION_UPDATE, volume=item))
        return found

    def removals(self) -> list[Change]:
        """What the node is to let go, or has lost; call it after `updates`."""
        found = []
        for volume_id in self._news:
            epoch = self._wanted(volume_id)
            item = Item(id=volume_id)
            if isinstance(epoch, int):
                item.epoch = self._told[volume_id] = epoch
            else:
                self._told.pop(volume_id, None)
            found.append(Change(action=Change.ACTION_REMOVE, volume=item))
        self._news.clear()
        return found

    def _wanted(self, volume_id: str) -> Item | int | None:
        """What the node should know: the volume, the epoch that it is to let go of, or nothing."""
        volume = self._find(volume_id)
        holder = None if volume is None else holder_of(volume, self._node_id)
        if volume is None or holder is None:
            return None
        if holder.state == Holder.STATE_RELEASING:
            return holder.epoch
        if holder.state != Holder.STATE_HELD:
            return None
        item = as_driver_knows(volume, self._secrets(volume))
        item.publish_context.update(holder.publish_context)
        item.read_only = holder.read_only
        item.epoch = holder.epoch
        item.term.CopyFrom(duration(term_of(volume.spec)))
        return item
