"""One member of a scripted cluster: the core, a disk that outlives it, a machine that it feeds.

It obeys a Ready in three steps that a script may take one by one: take it, persist it, apply it. It
never sends a message itself: it hands out what may leave after each step.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, RaftMessage, Snapshot
from manager.raft.core.config import Config
from manager.raft.core.errors import SnapshotTemporarilyUnavailableError
from manager.raft.core.raw_node import RawNode
from manager.raft.core.ready import Ready
from manager.raft.core.storage import MemoryStorage
from tests.support.raft_script.script import ScriptError
from tests.support.raft_script.words import conf_text, entry_text


class Disk(MemoryStorage):
    """What a crash leaves. It may be told to have no snapshot at hand for now."""

    busy = False

    def snapshot(self) -> Snapshot:
        if self.busy:
            raise SnapshotTemporarilyUnavailableError
        return super().snapshot()


@dataclass(slots=True)
class ScriptedChance:
    """Draws the election timeout that the script has set."""

    timeout: int

    def randrange(self, start: int, stop: int) -> int:
        if not start <= self.timeout < stop:
            raise ScriptError(f"timeout {self.timeout} is not in [{start}, {stop})")
        return self.timeout


@dataclass(slots=True)
class Machine:
    """The commands applied so far, and where the log stood."""

    applied: int = 0
    conf: ConfState = field(default_factory=ConfState)
    commands: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Machine":
        conf = ConfState.FromString(snapshot.metadata.conf.SerializeToString())
        return cls(snapshot.metadata.index, conf, snapshot.data.decode().split())

    def data(self) -> bytes:
        return " ".join(self.commands).encode()


class Host:
    """A member. `raw` is None while it is down; `round` is the Ready that is not finished."""

    def __init__(self, raft_id: int, options: dict[str, Any], say: Callable[[str], None]) -> None:
        self.id = raft_id
        self.options = options
        self.disk = Disk()
        self.machine = Machine()
        self.chance = ScriptedChance(options["election_tick"] + (raft_id - 1) % 10)
        self.raw: RawNode | None = None
        self.round: Ready | None = None
        self._persisted = False
        self._say = say

    @property
    def node(self) -> RawNode:
        if self.raw is None:
            raise ScriptError(f"{self.id} is down")
        return self.raw

    def start(self) -> None:
        """From what is on the disk, as after a crash."""
        self.machine = Machine.of(self.disk.snapshot())
        config = Config(
            id=self.id,
            storage=self.disk,
            applied=self.machine.applied,
            chance=self.chance,
            trace=self._trace,
            **self.options,
        )
        self.raw = RawNode(config)

    def _trace(self, text: str) -> None:
        if self.raw is not None:  # that it begins as a follower goes without saying
            self._say(f"  | {text}")

    def crash(self) -> None:
        self.raw = self.round = None

    def take(self) -> tuple[Ready, list[RaftMessage]]:
        """The next Ready, and the messages that may leave before it is persisted."""
        self.round = self.node.ready()
        self._persisted = False
        return self.round, list(self.round.early)

    def persist(self) -> list[RaftMessage]:
        """Writes the Ready to the disk. What comes back may leave now."""
        ready = self._outstanding(persisted=False)
        if ready.hard_state is not None:
            self.disk.set_hard_state(ready.hard_state)
        if ready.snapshot is not None:
            self.disk.apply_snapshot(ready.snapshot)
        self.disk.append(ready.entries)
        self._persisted = True
        return list(ready.late)

    def apply(self) -> None:
        """Applies what the Ready says is committed, and finishes the Ready."""
        ready = self._outstanding(persisted=True)
        if ready.snapshot is not None:
            self.machine = Machine.of(ready.snapshot)
        for entry in ready.committed_entries:
            self._apply(entry)
        self.round = None
        self.node.advance()

    def _apply(self, entry: Entry) -> None:
        if entry.index != self.machine.applied + 1:
            raise AssertionError(f"{self.id} applies {entry_text(entry)} after {self.machine}")
        self.machine.applied = entry.index
        if entry.type == Entry.TYPE_CONF_CHANGE:
            change = ConfChange.FromString(entry.data)
            self.machine.conf = self.node.apply_conf_change(change)
            self._say(f"  {self.id} conf: {conf_text(self.machine.conf)}")
        elif entry.data:
            self.machine.commands.append(entry.data.decode())

    def _outstanding(self, *, persisted: bool) -> Ready:
        if self.round is None or self._persisted != persisted:
            raise ScriptError(f"{self.id}: ready, persist and apply come in this order")
        return self.round
