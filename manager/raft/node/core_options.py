"""How the core of a manager is set up. Pure."""

from dataclasses import dataclass

from manager.raft.core.config import Chance, Config
from manager.raft.core.storage import MemoryStorage


@dataclass(frozen=True, kw_only=True)
class CoreOptions:
    """See manager.raft.core.config.Config.

    A message with its entries has to fit into 4 MiB, what is under way to one member into memory.
    """

    election_tick: int = 10
    heartbeat_tick: int = 2
    max_size_per_msg: int = 1 << 20
    max_committed_size_per_ready: int = 16 << 20
    max_uncommitted_size: int = 64 << 20
    max_inflight_msgs: int = 256
    max_inflight_bytes: int = 32 << 20
    lazy_commit: bool = False

    def config(self, raft_id: int, storage: MemoryStorage, applied: int, chance: Chance) -> Config:
        """For one member; a proposal is never passed on to the leader by the core itself."""
        return Config(
            id=raft_id,
            storage=storage,
            applied=applied,
            chance=chance,
            election_tick=self.election_tick,
            heartbeat_tick=self.heartbeat_tick,
            max_size_per_msg=self.max_size_per_msg,
            max_committed_size_per_ready=self.max_committed_size_per_ready,
            max_uncommitted_size=self.max_uncommitted_size,
            max_inflight_msgs=self.max_inflight_msgs,
            max_inflight_bytes=self.max_inflight_bytes,
            disable_proposal_forwarding=True,
            lazy_commit=self.lazy_commit,
        )
