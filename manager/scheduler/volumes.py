"""What the scheduler knows of volumes: which of them a task may have on a node, and what giving it
one changes. Kept by events; what is given in one decision counts in it from then on. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from api.v1 import objects_pb2, specs_pb2
from api.volumes import LOCAL, availability_word, driver_of
from manager.placement.volumes import Want
from manager.scheduler.makers import Makers
from manager.scheduler.volume_bars import Bar, Hindrance, missing
from manager.state.changes import copy
from manager.state.store import View
from manager.state.volumes import (
    clash,
    holder_of,
    is_given,
    may_touch,
    needs_its_volumes,
    users_that_only_read,
    why_closed,
)

Holder = objects_pb2.VolumeHolder
Node = objects_pb2.Node
Task = objects_pb2.Task
Volume = objects_pb2.Volume
Spec = specs_pb2.VolumeSpec


class Given(NamedTuple):
    """What a task gets, and the volumes that change with it."""

    attachments: list[objects_pb2.VolumeAttachment]
    changed: list[Volume]


class Volumes:
    """All volumes of the swarm. `begin_decision` before the first question of each decision."""

    def __init__(self, view: View | None = None) -> None:
        """`view`: what is asked who uses a volume, until the first decision."""
        self._view = view
        self._volumes: dict[str, Volume] = {}
        self._names: dict[str, str] = {}
        self._groups: dict[str, dict[str, None]] = {}
        self._given: dict[str, Volume] = {}
        # Of tasks that got it in this decision, whether they only read.
        self._users: defaultdict[str, list[bool]] = defaultdict(list)
        self._hosts: dict[str, str] = {}
        self._makers = Makers()

    @classmethod
    def of(cls, view: View) -> "Volumes":
        """Those of this state."""
        made = cls(view)
        for volume in view.all(Volume):
            made.put(volume.id, volume)
        for node in view.all(Node):
            made.describe(node.id, node)
        return made

    def put(self, volume_id: str, volume: Volume | None) -> None:
        """The volume as it is now; None: it is gone."""
        before = self._volumes.pop(volume_id, None)
        if before is not None:
            self._names.pop(before.spec.annotations.name, None)
            self._groups.get(before.spec.group, {}).pop(volume_id, None)
        if volume is not None:
            self._volumes[volume_id] = volume
            self._names[volume.spec.annotations.name] = volume_id
            if volume.spec.group:
                self._groups.setdefault(volume.spec.group, {})[volume_id] = None

    def describe(self, node_id: str, node: Node | None) -> bool:
        """What the node is called and can make; None: it is gone.

        Whether that changes which volumes have to be made.
        """
        self._hosts[node_id] = "" if node is None else node.description.hostname
        return self._makers.put(node_id, node)

    def begin_decision(self, view: View) -> None:
        """What the last decision gave is in the state by now, or never will be."""
        self._view = view
        self._given.clear()
        self._users.clear()

    def freed_by(self, task: Task) -> Iterator[Volume]:
        """The volumes that somebody else may have, now that the task has ended."""
        if task.volumes and not needs_its_volumes(task):
            for volume_id in dict.fromkeys(each.volume_id for each in task.volumes):
                volume = self._volumes.get(volume_id)
                if volume is not None and volume.spec.sharing != Spec.SHARING_ALL:
                    yield volume

    def concern(self, wants: Iterable[Want], volume: Volume) -> bool:
        """Whether a change of the volume may matter to who wants this."""
        spec = volume.spec
        return any(
            each.id == volume.id
            or (each.name and each.name == spec.annotations.name)
            or (each.group and each.group == spec.group)
            for each in wants
        )

    def places(self, wants: Iterable[Want]) -> frozenset[str] | None:
        """The only nodes that come into question; None where volumes bind the task to none."""
        found: frozenset[str] | None = None
        for want in wants:
            bound = self._bound(want)
            if bound is not None:
                found = bound if found is None else found & bound
        return found

    def hindrances(self, wants: Iterable[Want], node: Node) -> Iterator[Hindrance]:
        """What keeps each of the wishes from being met there; of a group, the first volume's."""
        for want in wants:
            first: Hindrance | None = None
            for volume in self._meant(want):
                hindrance = self.hindrance(volume, want, node)
                if hindrance is None:
                    break
                first = first or hindrance
            else:
                if first is not None:
                    yield first
                elif want.must:
                    yield missing(want)

    def passes(self, wants: Iterable[Want], node: Node) -> bool:
        """Whether all wishes can be met there."""
        return next(self.hindrances(wants, node), None) is None

    def hindrance(self, volume: Volume, want: Want, node: Node) -> Hindrance | None:
        """Why a task that wants it cannot have this volume on the node, or None."""
        spec, name = volume.spec, volume.spec.annotations.name
        if volume.removing:
            return Hindrance(Bar.UNAVAILABLE, f"volume {name} is being removed", volume)
        if closed := why_closed(volume):
            return Hindrance(Bar.PENDING, f"volume {name} {closed}", volume)
        if volume.pending:
            return Hindrance(Bar.PENDING, f"volume {name} cannot be used: {volume.pending}", volume)
        if spec.availability != Spec.AVAILABILITY_ACTIVE:
            word = {"pause": "paused", "drain": "drained"}[availability_word(spec.availability)]
            return Hindrance(Bar.UNAVAILABLE, f"volume {name} is {word}", volume)
        if spec.access == Spec.ACCESS_MANY_READERS and not want.read_only:
            text = f"volume {name} is for readers, and the mount is not readonly"
            return Hindrance(Bar.WRITES, text, volume)
        return (
            self._elsewhere(volume, node)
            or self._out_of_reach(volume, node)
            or self._not_shared(volume, want)
        )

    def give(self, task: Task, wants: Iterable[Want], node: Node, view: View) -> Given | None:
        """What the task gets on a node that passes. None: another node or way of use was given one
        of the volumes in this very decision, and only one change of it can be proposed at a time.
        """
        attachments: list[objects_pb2.VolumeAttachment] = []
        changed: dict[str, Volume] = {}
        for want in wants:
            volume = self._choose(want, task, node, changed.keys(), view)
            if volume is None:
                continue
            now = changed.get(volume.id, volume)
            held = holder_of(now, node.id)
            if held is None or not is_given(held) or (held.read_only and not want.read_only):
                if volume.id in self._given:
                    return None
                now = changed[volume.id] = _taken(now, want, node)
            epoch = next(each.epoch for each in now.holders if each.node_id == node.id)
            attachments.append(
                objects_pb2.VolumeAttachment(
                    volume_id=now.id, source=want.source, epoch=epoch, read_only=want.read_only
                )
            )
        self._given.update(changed)
        for volume_id in dict.fromkeys(each.volume_id for each in attachments):
            only_reads = all(a.read_only for a in attachments if a.volume_id == volume_id)
            self._users[volume_id].append(only_reads)
        return Given(attachments, list(changed.values()))

    def _meant(self, want: Want) -> Iterator[Volume]:
        if want.group:
            found = list(self._groups.get(want.group, ()))
        else:
            found = [want.id or self._names.get(want.name, "")]
        for volume_id in found:
            volume = self._given.get(volume_id) or self._volumes.get(volume_id)
            if volume is not None:
                yield volume

    def _bound(self, want: Want) -> frozenset[str] | None:
        found: set[str] = set()
        count = 0
        for volume in self._meant(want):
            count += 1
            places = _places(volume)
            if places is None:
                return None
            found |= places
        return frozenset(found) if count or want.must else None

    def _choose(
        self, want: Want, task: Task, node: Node, taken: Iterable[str], view: View
    ) -> Volume | None:
        """Of a group what the slot had before, then what the fewest tasks have."""
        fitting = [v for v in self._meant(want) if self.hindrance(v, want, node) is None]
        if not want.group:
            return fitting[0] if fitting else None
        before = {
            each.volume_id
            for other in view.tasks_of_slot(task.service_id, task.slot or task.node_id)
            for each in other.volumes
        }

        def rank(volume: Volume) -> tuple[bool, bool, int, str]:
            users = len(view.tasks_of_volume(volume.id)) + len(self._users[volume.id])
            name = volume.spec.annotations.name
            return volume.id in taken, volume.id not in before, users, name

        return min(fitting, key=rank, default=None)

    def _elsewhere(self, volume: Volume, node: Node) -> Hindrance | None:
        name = volume.spec.annotations.name
        if volume.spec.access == Spec.ACCESS_SINGLE_WRITER:
            for each in volume.holders:
                if each.node_id != node.id and may_touch(each):
                    text = f"volume {name} is held by {self._called(each.node_id)}"
                    if each.state == Holder.STATE_RELEASING:
                        text += ", which lets go of it"
                    return Hindrance(Bar.HELD, text, volume, each.node_id)
        if volume.home and volume.home != node.id:
            text = f"the data of volume {name} is on {self._called(volume.home)}"
            return Hindrance(Bar.HOME, text, volume, volume.home)
        return self._shut_out(volume, node)

    def _shut_out(self, volume: Volume, node: Node) -> Hindrance | None:
        """What the node had before has to be over: it may have something of it in memory."""
        held = holder_of(volume, node.id)
        if held is None or may_touch(held):
            return None
        where = f"volume {volume.spec.annotations.name} to {self._called(node.id)}"
        if held.state == Holder.STATE_FENCED:
            text = f"the storage closed {where}, whose former lease is not over"
        else:
            text = f"the storage has yet to close {where}"
            text += f": {held.order_error}" if held.order_error else ""
        return Hindrance(Bar.CLOSED, text, volume)

    def _out_of_reach(self, volume: Volume, node: Node) -> Hindrance | None:
        name, driver_name = volume.spec.annotations.name, driver_of(volume.spec)
        driver = _driver_there(volume, node)
        if driver is None:
            return Hindrance(Bar.DRIVER, f"no driver {driver_name} for volume {name}", volume)
        # Another node's may have to make it, as this one's need not have the part that does.
        if driver_name in self._makers and not volume.HasField("made"):
            text = f"volume {name} cannot be used: its driver has not made it yet"
            return Hindrance(Bar.PENDING, text, volume)
        reach = volume.made.topology or volume.spec.topology_required
        if reach and not any(_within(each.segments, driver.segments) for each in reach):
            return Hindrance(Bar.TOPOLOGY, f"volume {name} is out of reach", volume)
        return None

    def _not_shared(self, volume: Volume, want: Want) -> Hindrance | None:
        if volume.spec.sharing == Spec.SHARING_ALL or self._view is None:
            return None
        others = [*users_that_only_read(self._view, volume), *self._users[volume.id]]
        why = clash(volume, want.read_only, others)
        if not why:
            return None
        text = f"volume {volume.spec.annotations.name} is not shared so: {why}"
        return Hindrance(Bar.SHARED, text, volume)

    def _called(self, node_id: str) -> str:
        return self._hosts.get(node_id, "") or node_id


def _places(volume: Volume) -> frozenset[str] | None:
    """The nodes that a volume is bound to; None: it is to none."""
    held = {each.node_id for each in volume.holders if may_touch(each)}
    if volume.spec.access == Spec.ACCESS_SINGLE_WRITER and held:
        return frozenset(held)
    return frozenset({volume.home}) if volume.home else None


def _taken(volume: Volume, want: Want, node: Node) -> Volume:
    """The volume with a hold of the node: its own of before, or a new one under the next epoch."""
    changed = copy(volume)
    held = holder_of(changed, node.id)
    if held is not None and is_given(held):
        held.read_only = want.read_only
        return changed
    if held is not None:
        changed.holders.remove(held)
    driver = _driver_there(volume, node) or objects_pb2.VolumeDriver()
    # A storage that lets nodes in one by one lets them in for good, whoever comes to write there.
    only_reads = want.read_only and not driver.opens
    changed.epoch += 1
    changed.holders.add(
        node_id=node.id,
        epoch=changed.epoch,
        state=Holder.STATE_OPENING if driver.opens else Holder.STATE_HELD,
        read_only=only_reads or volume.spec.access == Spec.ACCESS_MANY_READERS,
        host_id=driver.node_id or node.id,
        opens=driver.opens,
        fenceable=driver.fences and not driver.opens,
    )
    if not changed.home and (driver.local or driver_of(volume.spec) == LOCAL):
        changed.home = node.id
    return changed


def _driver_there(volume: Volume, node: Node) -> objects_pb2.VolumeDriver | None:
    wanted = driver_of(volume.spec)
    return next((each for each in node.description.volume_drivers if each.name == wanted), None)


def _within(wanted: Mapping[str, str], segments: Mapping[str, str]) -> bool:
    return all(segments.get(key) == value for key, value in wanted.items())
