"""How a Ready reads in a transcript: one line for each thing that it asks for."""

from collections.abc import Iterator

from api.v1.raft_pb2 import RaftMessage
from manager.raft.core.ready import Ready
from tests.support.raft_script.words import entries_text, message_text, snapshot_text


def role_text(role: object) -> str:
    """`leader`, `pre-candidate`."""
    return str(getattr(role, "name", role)).lower().replace("_", "-")


def ready_lines(raft_id: int, ready: Ready, *, messages: bool) -> list[str]:
    """A head line, then what the Ready holds. Messages may be left to their delivery."""
    marks = " sync" if ready.must_sync else ""
    return [f"{raft_id} ready{marks}", *(f"  {line}" for line in _contents(ready, messages))]


def _contents(ready: Ready, messages: bool) -> Iterator[str]:
    if (soft := ready.soft_state) is not None:
        yield f"role={role_text(soft.role)} leader={soft.leader}"
    if (hard := ready.hard_state) is not None:
        yield f"hard term={hard.term} vote={hard.vote} commit={hard.commit}"
    if ready.snapshot is not None:
        yield f"snapshot {snapshot_text(ready.snapshot)}"
    if ready.entries:
        yield f"save {entries_text(ready.entries)}"
    if messages:
        yield from _messages("early", ready.early)
        yield from _messages("late ", ready.late)
    if ready.committed_entries:
        yield f"apply {entries_text(ready.committed_entries)}"
    for read in ready.read_states:
        yield f"read context={read.context.decode()} index={read.index}"


def _messages(when: str, messages: list[RaftMessage]) -> Iterator[str]:
    for message in messages:
        yield f"{when} {message_text(message)}"
