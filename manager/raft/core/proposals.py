"""What is proposed for the log: taken by a leader, passed on by a follower, or dropped.

Invariants: a proposal is taken whole or not at all, and whoever is not told of an index learns
nothing of its fate; a change of the configuration that is not admitted becomes an empty entry, so
that the proposals around it keep their places.
"""

from collections.abc import Sequence
from typing import Final

from api.v1.raft_pb2 import Entry, RaftMessage
from manager.raft.core import leader_log, reconfigure, sending
from manager.raft.core.errors import DropReason, ProposalDroppedError
from manager.raft.core.leader_log import Draft
from manager.raft.core.raft import Raft
from manager.raft.core.ready import Role

_EMPTY: Final[Draft] = (Entry.TYPE_COMMAND, b"")


def propose(raft: Raft, drafts: Sequence[Draft]) -> int | None:
    """Appends here, or passes on to the leader; returns the first index, or None if passed on.

    ProposalDroppedError says why it did neither.
    """
    if raft.role is Role.LEADER:
        return _take(raft, drafts)
    _pass_on(raft, drafts)
    return None


def on_proposal(raft: Raft, message: RaftMessage) -> None:
    """Another member proposes: as if it were proposed here."""
    if message.entries:
        propose(raft, [(entry.type, entry.data) for entry in message.entries])


def _take(raft: Raft, drafts: Sequence[Draft]) -> int:
    if raft.own_progress is None:
        raise ProposalDroppedError(DropReason.NOT_A_MEMBER)
    if raft.transfer_target:
        raise ProposalDroppedError(DropReason.TRANSFERRING)
    drafts, change = _admitted(raft, drafts)
    first = leader_log.append(raft, drafts)
    if change is not None:
        raft.pending_conf_index = first + change
    sending.broadcast_append(raft)
    return first


def _pass_on(raft: Raft, drafts: Sequence[Draft]) -> None:
    if not raft.leader:
        raise ProposalDroppedError(DropReason.NO_LEADER)
    if raft.config.disable_proposal_forwarding:
        raise ProposalDroppedError(DropReason.FORWARDING_DISABLED)
    entries = [Entry(type=kind, data=data) for kind, data in drafts]
    raft.send(RaftMessage.TYPE_PROPOSE, raft.leader, entries=entries)


def _admitted(raft: Raft, drafts: Sequence[Draft]) -> tuple[list[Draft], int | None]:
    """The drafts as they may be appended, and the position of the change among them, if any."""
    admitted: list[Draft] = []
    change: int | None = None
    for position, draft in enumerate(drafts):
        if draft[0] == Entry.TYPE_CONF_CHANGE:
            why = _refusal(raft, draft[1], change)
            if why is None:
                change = position
            else:
                raft.config.trace(f"{raft.id} refuses a change of the configuration: {why}")
                draft = _EMPTY  # noqa: PLW2901
        admitted.append(draft)
    return admitted, change


def _refusal(raft: Raft, data: bytes, earlier: int | None) -> str | None:
    if raft.config.disable_conf_change_validation:
        return None
    if earlier is not None:
        return "another change was proposed along with it"
    return reconfigure.refusal(raft, data)
