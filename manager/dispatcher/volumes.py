"""What one node is told of volumes of the swarm, and what it has yet to be told. Pure.

A node hears of those that it holds, and of nobody else's. What it is to let go is taken back,
though it may not know of it: so that it says that it lets go, whatever became of the first word.
"""

from collections.abc import Callable, Iterable

from google.protobuf.duration_pb2 import Duration

from api.times import duration
from api.v1 import dispatcher_pb2, objects_pb2, volume_pb2
from api.volumes import driver_of, term_of
from manager.state.volumes import holder_of

Change = dispatcher_pb2.AssignmentChange
Holder = objects_pb2.VolumeHolder
Item = volume_pb2.NodeVolume
Volume = objects_pb2.Volume
Find = Callable[[str], Volume | None]
"""Looks a volume up in the store."""


def no_volume(_: str) -> Volume | None:
    """Where there are none."""


class NodeVolumes:
    """The volumes of one node."""

    def __init__(self, node_id: str, find: Find) -> None:
        self._node_id = node_id
        self._find = find
        self._told: dict[str, Item] = {}
        self._taken_back: dict[str, int] = {}
        self._news: dict[str, None] = {}

    @property
    def news(self) -> int:
        """How many volumes the node may have yet to hear of."""
        return len(self._news)

    def begin(self, volumes: Iterable[Volume]) -> list[Change]:
        """Starts over: the volumes of the node, which count as told from now on; what it is to let
        go are news.
        """
        self._told.clear()
        self._taken_back.clear()
        self._news.clear()
        for volume in volumes:
            self._news[volume.id] = None
        return self.updates()

    def changed(self, volume_id: str) -> None:
        """A volume is different now, or gone."""
        self._news[volume_id] = None
        item, epoch = self._present(volume_id)
        same = item == self._told.get(volume_id)
        if same and (epoch == 0 or self._taken_back.get(volume_id) == epoch):
            del self._news[volume_id]

    def resync(self, volumes: Iterable[Volume]) -> None:
        """Any volume may be different; these are the node's."""
        for volume_id in [*self._told, *(each.id for each in volumes)]:
            self.changed(volume_id)

    def updates(self) -> list[Change]:
        """What the node is to be given, which counts as told by that."""
        found = []
        for volume_id in list(self._news):
            item, _ = self._present(volume_id)
            if item is not None:
                del self._news[volume_id]
                if self._told.get(volume_id) != item:
                    self._told[volume_id] = item
                    found.append(Change(action=Change.ACTION_UPDATE, volume=item))
        return found

    def removals(self) -> list[Change]:
        """What the node is to let go, or has lost; call it after `updates`."""
        found = []
        for volume_id in self._news:
            _, epoch = self._present(volume_id)
            told = self._told.pop(volume_id, None)
            if told is None and (not epoch or self._taken_back.get(volume_id) == epoch):
                continue
            epoch = epoch or (0 if told is None else told.epoch)
            self._taken_back[volume_id] = epoch
            item = Item(id=volume_id, epoch=epoch)
            found.append(Change(action=Change.ACTION_REMOVE, volume=item))
        self._news.clear()
        return found

    def _present(self, volume_id: str) -> tuple[Item | None, int]:
        """The item that the node should have; and the epoch that it is to let go of, or 0."""
        volume = self._find(volume_id)
        holder = None if volume is None else holder_of(volume, self._node_id)
        if volume is None or holder is None:
            return None, 0
        if holder.state != Holder.STATE_HELD:
            return None, holder.epoch
        return told_of(volume, holder), 0


def told_of(volume: Volume, holder: Holder) -> Item:
    """The volume as its holder has to know it."""
    spec, made = volume.spec, volume.made
    item = Item(
        id=volume.id,
        name=spec.annotations.name,
        driver=driver_of(spec),
        driver_options=spec.driver_options,
        access=spec.access,
        handle=made.handle,
        context=made.context,
        publish_context=holder.publish_context,
        secrets=spec.secrets,
        block=spec.block,
        read_only=holder.read_only,
        epoch=holder.epoch,
        term=_term(volume),
    )
    return item


def _term(volume: Volume) -> Duration:
    return duration(term_of(volume.spec))
