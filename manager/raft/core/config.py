"""How one member of a group is set up. Checked once, before anything has happened; never changed.

Invariant: an instance that exists is valid, so that the core itself asks no question twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from manager.raft.core.storage import Storage

NO_LIMIT: Final = (1 << 63) - 1
"""How a size that knows no limit is written; 0 never means that."""


class Chance(Protocol):
    """Where the core takes chance from. Need not be secret, but differ between members."""

    def randrange(self, start: int, stop: int, /) -> int:
        """A number of [start, stop)."""


def _ignore(line: str) -> None:
    """The default of `trace`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The settings of one member. ValueError if they contradict each other.

    Ticks are whatever the caller's clock makes of them. A follower campaigns after
    [election_tick, 2 * election_tick) ticks without a leader, drawn anew each time. Sizes are
    bytes: `max_size_per_msg` and `max_committed_size_per_ready` of entries in a message and in a
    Ready, where one entry always fits; `max_uncommitted_size` of data that a leader appends ahead
    of its commit index; `max_inflight_bytes` of data on the way to one follower. With `lazy_commit`
    a leader sends no message for a new commit index alone, as etcd/raft does: half of all messages
    of a serial writer. It goes with what is sent anyway, or by RawNode.tell_commit.
    """

    id: int
    storage: Storage
    chance: Chance
    election_tick: int = 10
    heartbeat_tick: int = 2
    applied: int = 0
    max_size_per_msg: int = 1 << 20
    max_committed_size_per_ready: int = 1 << 24
    max_uncommitted_size: int = 1 << 26
    max_inflight_msgs: int = 256
    max_inflight_bytes: int = NO_LIMIT
    pre_vote: bool = True
    check_quorum: bool = True
    lazy_commit: bool = False
    step_down_on_removal: bool = True
    disable_proposal_forwarding: bool = False
    disable_conf_change_validation: bool = False
    trace: Callable[[str], None] = _ignore

    def __post_init__(self) -> None:
        rules = (
            (0 < self.id < 1 << 64, "id is a number of 64 bits and not 0"),
            (self.heartbeat_tick > 0, "heartbeat_tick is at least 1"),
            (self.election_tick > self.heartbeat_tick, "election_tick is above heartbeat_tick"),
            (self.applied >= 0, "applied is an index"),
            (self.max_size_per_msg >= 0, "max_size_per_msg is not negative"),
            (self.max_committed_size_per_ready > 0, "max_committed_size_per_ready is above 0"),
            (self.max_uncommitted_size > 0, "max_uncommitted_size is above 0"),
            (self.max_inflight_msgs > 0, "max_inflight_msgs is at least 1"),
            (
                self.max_inflight_bytes >= self.max_size_per_msg,
                "max_inflight_bytes is at least max_size_per_msg",
            ),
        )
        for kept, rule in rules:
            if not kept:
                raise ValueError(f"Config: {rule}")
