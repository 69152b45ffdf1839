"""What can go wrong inside the consensus core. Small classes for code, not texts for people.

Invariant: whoever catches `InvariantError` must stop the node. It means that the log, the storage
or a peer contradicts what Raft has already promised, and going on could lose a committed entry.
All the others leave the state machine as it was.
"""

from enum import StrEnum


class RaftError(Exception):
    """The base of all errors of the core."""


class InvariantError(RaftError):
    """Something that Raft promised was about to be broken. The node must stop."""


class StorageError(RaftError):
    """The storage cannot give or take what was asked."""


class CompactedError(StorageError):
    """The index lies before the log's first entry: a snapshot stands in its place."""


class UnavailableError(StorageError):
    """The index lies beyond the log's last entry."""


class SnapshotTemporarilyUnavailableError(StorageError):
    """There is no snapshot right now; ask again later."""


class SnapshotOutOfDateError(StorageError):
    """A snapshot that is newer, or as new, is already there."""


class DropReason(StrEnum):
    """Why a proposal was not taken."""

    NO_LEADER = "there is no leader"
    TRANSFERRING = "leadership is being transferred"
    TOO_MUCH_UNCOMMITTED = "too much is appended and not committed yet"
    NOT_A_MEMBER = "this node is not in the configuration"
    FORWARDING_DISABLED = "this node does not lead and does not forward"


class ProposalDroppedError(RaftError):
    """A proposal was not appended and not forwarded; the proposer may try again."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(f"proposal dropped: {reason.value}")
        self.reason = reason


class UnknownPeerError(RaftError):
    """An answer came from somebody who is not in the configuration."""


class ConfChangeError(RaftError):
    """A change of the configuration is not admissible; nothing has changed."""
