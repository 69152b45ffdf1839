"""What a node was told of volumes of the swarm: which it holds, until when, and what it has to say
of them. Pure. The rules are those of docs/decisions/0031-leases-of-volumes.md.

Moments are seconds of CLOCK_BOOTTIME. A lease is counted from the moment at which a heartbeat was
sent, and only for what the node had been told of by then.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from api.times import seconds_of
from api.v1 import dispatcher_pb2, volume_pb2

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange
Item = volume_pb2.NodeVolume
Status = volume_pb2.NodeVolumeStatus

_PREFIX = "swarm/"


class Hold(NamedTuple):
    """A volume of the swarm under one epoch."""

    volume_id: str
    epoch: int

    @property
    def key(self) -> str:
        """What it is mounted under on the host."""
        return f"{_PREFIX}{self.volume_id}.{self.epoch}"


def hold_of(key: str) -> Hold | None:
    """The hold that a mount of this key is of; None: it is of a volume of the host's own."""
    if not key.startswith(_PREFIX):
        return None
    volume_id, _, epoch = key.removeprefix(_PREFIX).rpartition(".")
    return Hold(volume_id, int(epoch))


@dataclass(slots=True)
class _Told:
    item: Item
    version: int
    until: float = 0.0
    lost: bool = False
    ending: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """The lease of a hold lasts until this moment now."""

    hold: Hold
    until: float


@dataclass(slots=True)
class VolumeBook:
    """Of one node. `restore` first."""

    _told: dict[Hold, _Told] = field(default_factory=dict)
    _words: dict[Hold, Status] = field(default_factory=dict)
    _owed: dict[Hold, None] = field(default_factory=dict)  # let go, and not said yet

    def restore(self, holds: Iterable[Hold]) -> None:
        """These are mounted since an earlier daemon. Until a manager names them nothing renews
        them, and nothing is done to them either.
        """
        for hold in holds:
            self._told[hold] = _Told(Item(id=hold.volume_id, epoch=hold.epoch), 0, lost=True)

    def follow(self, message: Message) -> list[Hold]:
        """Takes in a message; the holds that are to end from now on, once nothing uses them."""
        about = [change for change in message.changes if change.HasField("volume")]
        ending: list[Hold] = []
        if message.type == Message.TYPE_COMPLETE:
            named = {_hold(c.volume) for c in about if c.action == Change.ACTION_UPDATE}
            ending += self._lose(hold for hold in self._told if hold not in named)
        for change in about:
            hold = _hold(change.volume)
            others = [each for each in self._told if each.volume_id == hold.volume_id]
            if change.action == Change.ACTION_UPDATE:
                ending += self._lose(each for each in others if each != hold)
                self._tell(hold, change.volume, message.version)
            elif hold.epoch:
                ending += self._take_back(hold, message.version)
            else:
                ending += self._lose(others)
        return ending

    def item(self, hold: Hold) -> Item | None:
        """The volume as the managers told it; None: it is not the node's, or not any more."""
        told = self._told.get(hold)
        return None if told is None or told.lost or told.ending else told.item

    def until(self, hold: Hold) -> float:
        """Until when the lease lasts; zero: it never has."""
        told = self._told.get(hold)
        return 0.0 if told is None else told.until

    def has_leases(self) -> bool:
        """Whether anything is to be renewed."""
        return any(not told.lost for told in self._told.values())

    def renew(self, sent: float, applied: int) -> list[Renewal]:
        """A heartbeat was answered that renews: what it was sent at, and what the node had carried
        out by then. Nothing is renewed that was told later, or is lost.
        """
        found = []
        for hold, told in self._told.items():
            until = sent + seconds_of(told.item.term)
            if not told.lost and told.version <= applied and until > told.until:
                told.until = until
                found.append(Renewal(hold, until))
        return found

    def mounted(self, hold: Hold) -> None:
        """It is mounted."""
        self._say(hold, Status.STATE_MOUNTED)

    def failed(self, hold: Hold, error: str) -> None:
        """It cannot be mounted."""
        self._say(hold, Status.STATE_FAILED, error)

    def let_go(self, hold: Hold) -> None:
        """Nothing here touches it any more, nor will under this epoch."""
        self._told.pop(hold, None)
        self._owe(hold)

    def words(self) -> list[Status]:
        """What the managers have yet to be told."""
        return list(self._words.values())

    def said(self, words: Iterable[Status]) -> None:
        """They have it."""
        for word in words:
            hold = Hold(word.volume_id, word.epoch)
            if self._words.get(hold) == word:
                del self._words[hold]

    def _tell(self, hold: Hold, item: Item, version: int) -> None:
        told = self._told.get(hold)
        if told is None:
            self._told[hold] = _Told(_copy(item), version)
        elif not told.ending:
            told.item, told.version, told.lost = _copy(item), version, False

    def _take_back(self, hold: Hold, version: int) -> list[Hold]:
        told = self._told.get(hold)
        if told is None:
            self._owe(hold)
            return []
        if told.lost:
            told.version, told.lost = version, False
        return self._end(hold, told)

    def _lose(self, holds: Iterable[Hold]) -> list[Hold]:
        ending: list[Hold] = []
        for hold in list(holds):
            told = self._told[hold]
            told.lost = True
            ending += self._end(hold, told)
        return ending

    def _end(self, hold: Hold, told: _Told) -> list[Hold]:
        if told.ending:
            return []
        told.ending = True
        return [hold]

    def _owe(self, hold: Hold) -> None:
        """Whoever hears the word gives the volume on: it waits for mounts of older epochs, of which
        no manager may know any more.
        """
        self._owed[hold] = None
        for owed in [each for each in self._owed if not self._is_touched(each)]:
            del self._owed[owed]
            self._say(owed, Status.STATE_UNMOUNTED)

    def _is_touched(self, hold: Hold) -> bool:
        """Whether something of an older epoch of the volume may be here."""
        same = (each for each in self._told if each.volume_id == hold.volume_id)
        return any(each.epoch < hold.epoch for each in same)

    def _say(self, hold: Hold, state: Status.State.ValueType, error: str = "") -> None:
        word = Status(volume_id=hold.volume_id, epoch=hold.epoch, state=state, error=error)
        self._words[hold] = word


def _hold(item: Item) -> Hold:
    return Hold(item.id, item.epoch)


def _copy(item: Item) -> Item:
    made = Item()
    made.CopyFrom(item)
    return made
