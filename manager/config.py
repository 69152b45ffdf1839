"""Who a manager is, and where it listens and keeps its state."""

from dataclasses import dataclass
from pathlib import Path

from api.identity import Credentials
from hostkit.clock import Clock
from manager.control.images import AskRegistry
from manager.locking import Relock
from manager.raft.durable.keyring import FileKeys


@dataclass(frozen=True)
class ManagerConfig:
    """Addresses are host:port. `directory`: of the log; what belongs to it lies beside it."""

    directory: Path
    keys: FileKeys
    """What the log is sealed with. Their file has no other FileKeys."""
    relock: Relock
    node_id: str
    cluster_id: str
    listen_address: str
    advertise_address: str
    credentials: Credentials
    clock: Clock
    monotonic: Clock
    ask_registry: AskRegistry

    @property
    def identity_file(self) -> Path:
        """This manager's place in the group."""
        return self.directory.with_suffix(".json")
