"""Until when nodes may use their volumes, as the leader counts it: who renewed when, what has
lapsed. Pure.

The rules are those of docs/decisions/0031-leases-of-volumes.md. A node counts from the moment at
which it sent a heartbeat, the leader from the one at which it came, and only if it led for sure
after that: so what is counted here ends later. A new leader counts from its own beginning. What has
lapsed here is never renewed again; nor is anything else of its node until that knows what it lost.

Times are monotonic seconds of this manager. Proposes nothing: see lapses.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from api.v1 import objects_pb2
from api.volumes import BEATS, margin_of, term_of

Holder = objects_pb2.VolumeHolder
Volume = objects_pb2.Volume


class Hold(NamedTuple):
    """A node's hold of a volume under one epoch."""

    volume_id: str
    node_id: str
    epoch: int


class Leases:
    """The leases of a cluster, while this manager leads. `begin` first."""

    def __init__(self) -> None:
        self._of_node: dict[str, dict[Hold, float]] = {}
        self._since: dict[Hold, float] = {}
        self._renewed: dict[str, float] = {}
        self._ended: dict[Hold, None] = {}
        self._given_back: dict[Hold, None] = {}
        self._must_know: dict[str, int] = {}
        self._fenced: dict[Hold, float] = {}  # nothing renews these: when they began to end

    def begin(self, volumes: Iterable[Volume], now: float) -> None:
        """A new leader: what was renewed before it led was renewed before `now`."""
        for held in (self._of_node, self._since, self._renewed, self._ended, self._given_back):
            held.clear()
        self._must_know.clear()
        self._fenced.clear()
        for volume in volumes:
            self.observe(None, volume, 0, now)

    def observe(self, old: Volume | None, new: Volume | None, version: int, now: float) -> None:
        """A volume is different since this version of the state."""
        before = _holds(old)
        after = _holds(new)
        for hold in before.keys() - after.keys():
            self._drop(hold, version)
        for hold, term in after.items():
            if hold not in self._since:
                self._since[hold] = now
            self._of_node.setdefault(hold.node_id, {})[hold] = term
        for hold in _fenced(new):
            if hold not in self._fenced:
                self._fenced[hold] = self._began_at(hold)
                self._lost(hold, version)

    def resync(self, volumes: Iterable[Volume], version: int, now: float) -> None:
        """As `observe` of everything, after events were lost."""
        present: dict[Hold, float] = {}
        for volume in volumes:
            present |= _holds(volume)
            self.observe(None, volume, version, now)
        for hold in self._since.keys() - present.keys():
            self._drop(hold, version)

    def holds(self, node_id: str) -> bool:
        """Whether there is anything that the node could renew."""
        return node_id in self._of_node

    def given_back(self, hold: Hold) -> None:
        """The node says itself that it uses the volume no longer under this epoch."""
        if hold in self._since:
            self._given_back[hold] = None

    def renew(self, node_id: str, came_at: float, confirmed: int) -> bool:
        """Renews all leases of the node; False if that would hold on to what it has lost.

        `came_at`: when its heartbeat came; `confirmed`: the version of the state up to which it has
        carried out all that concerns it. Call it once it is certain that nobody else has led since.
        """
        if not confirmed or confirmed < self._must_know.get(node_id, 0):
            return False
        if any(hold.node_id == node_id for hold in self._ended if hold not in self._fenced):
            return False
        self._renewed[node_id] = max(came_at, self._renewed.get(node_id, came_at))
        return True

    def period(self, node_id: str, period: float) -> float:
        """Seconds until its next heartbeat, where `period` would do but for the leases."""
        shortest = min(self._of_node.get(node_id, {}).values(), default=BEATS * period)
        return min(period, shortest / BEATS)

    def due(self) -> float | None:
        """When the next lease lapses, or has; None while there is none."""
        return min(map(self._lapses_at, self._since), default=None)

    def lapse(self, now: float) -> list[Hold]:
        """The holds that nobody may use any more; they are never renewed again."""
        for hold in self._since:
            if self._lapses_at(hold) <= now:
                self._ended[hold] = None
        return list(self._ended)

    def _lapses_at(self, hold: Hold) -> float:
        term = self._of_node[hold.node_id][hold]
        return self._began_at(hold) + term + margin_of(term)

    def _began_at(self, hold: Hold) -> float:
        """From when its term counts."""
        if hold in self._fenced:
            return self._fenced[hold]
        since = self._since[hold]
        return max(since, self._renewed.get(hold.node_id, since))

    def _drop(self, hold: Hold, version: int) -> None:
        self._since.pop(hold, None)
        self._ended.pop(hold, None)
        if self._fenced.pop(hold, None) is None:
            self._lost(hold, version)
        self._given_back.pop(hold, None)
        mine = self._of_node.get(hold.node_id, {})
        mine.pop(hold, None)
        if not mine:
            self._of_node.pop(hold.node_id, None)

    def _lost(self, hold: Hold, version: int) -> None:
        if hold not in self._given_back:
            # It may believe in this hold still: what it hears of renewals it takes for all.
            self._must_know[hold.node_id] = version


def _holds(volume: Volume | None) -> Mapping[Hold, float]:
    """Every hold that is to end by its lease, if by nothing else, with the term of that."""
    if volume is None:
        return {}
    term = term_of(volume.spec)
    return {
        Hold(volume.id, each.node_id, each.epoch): term
        for each in volume.holders
        if each.state != Holder.STATE_CLOSING
    }


def _fenced(volume: Volume | None) -> Iterator[Hold]:
    if volume is not None:
        for each in volume.holders:
            if each.state == Holder.STATE_FENCED:
                yield Hold(volume.id, each.node_id, each.epoch)
