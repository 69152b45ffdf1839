"""How entries, configurations and messages read in a transcript. Never changes what it prints.

An entry is `index/term "data"`; an empty one is `index/term -`. A message prints the fields that
its type gives a meaning to; any other field that is set follows with a `!`, so that nothing stays
unseen.
"""

from collections.abc import Callable, Iterable

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, MemberChange, RaftMessage, Snapshot

_CHANGES = {
    MemberChange.TYPE_ADD_VOTER: "add-voter",
    MemberChange.TYPE_REMOVE: "remove",
    MemberChange.TYPE_UPDATE: "update",
    MemberChange.TYPE_ADD_LEARNER: "add-learner",
}
_LONG = 12  # equal bytes that are counted rather than written


def data_text(data: bytes) -> str:
    if len(data) > _LONG and len(set(data)) == 1:
        return f'"{chr(data[0])}"*{len(data)}'
    return f'"{data.decode()}"' if data else "-"


def change_text(change: ConfChange) -> str:
    if not change.changes:
        return "leave-joint"
    words = [f"{_CHANGES[each.type]}={each.member.raft_id}" for each in change.changes]
    transition = ConfChange.Transition.Name(change.transition).removeprefix("TRANSITION_").lower()
    return " ".join(words if transition == "auto" else [*words, transition])


def entry_text(entry: Entry) -> str:
    place = f"{entry.index}/{entry.term}"
    if entry.type == Entry.TYPE_CONF_CHANGE:
        return f"{place} change({change_text(ConfChange.FromString(entry.data))})"
    return f"{place} {data_text(entry.data)}"


def entries_text(entries: Iterable[Entry]) -> str:
    return "[" + ", ".join(entry_text(entry) for entry in entries) + "]"


def _ids(ids: Iterable[int]) -> str:
    return "(" + " ".join(str(each) for each in ids) + ")"


def conf_text(conf: ConfState) -> str:
    parts = [f"voters={_ids(conf.voters)}"]
    if conf.voters_outgoing:
        parts.append(f"outgoing={_ids(conf.voters_outgoing)}")
    if conf.learners:
        parts.append(f"learners={_ids(conf.learners)}")
    if conf.learners_next:
        parts.append(f"learners-next={_ids(conf.learners_next)}")
    return " ".join([*parts, "auto-leave"] if conf.auto_leave else parts)


def snapshot_text(snapshot: Snapshot) -> str:
    at = snapshot.metadata
    return f"{at.index}/{at.term} {conf_text(at.conf)} data={data_text(snapshot.data)}"


def type_text(message: RaftMessage) -> str:
    name = RaftMessage.Type.Name(message.type).removeprefix("TYPE_")
    return name.lower().replace("_", "-")


def _proposal(message: RaftMessage) -> str:
    kinds = {Entry.TYPE_CONF_CHANGE: lambda data: change_text(ConfChange.FromString(data))}
    parts = [kinds.get(each.type, data_text)(each.data) for each in message.entries]
    return "[" + ", ".join(parts) + "]"


def _append(message: RaftMessage) -> str:
    entries = entries_text(message.entries) if message.entries else "empty"
    return f"prev={message.index}/{message.log_term} {entries} commit={message.commit}"


def _append_response(message: RaftMessage) -> str:
    if message.reject:
        hint = f"{message.reject_hint}/{message.log_term}"
        return f"REJECTED index={message.index} hint={hint}"
    return f"index={message.index}"


def _vote(message: RaftMessage) -> str:
    last = f"last={message.index}/{message.log_term}"
    return last + _known_commit(message) + _context(message)


def _vote_response(message: RaftMessage) -> str:
    return ("REJECTED" if message.reject else "granted") + _known_commit(message)


def _known_commit(message: RaftMessage) -> str:
    """The last entry that the sender knows to be committed: its place alone, without its data."""
    return "".join(
        f" committed={entry_text(entry).removesuffix(' -')}" for entry in message.entries
    )


def _context(message: RaftMessage) -> str:
    return f" context={message.context.decode()}" if message.context else ""


def _round(message: RaftMessage) -> str:
    """What a heartbeat carries for the reads that wait, and its answer brings back: a number."""
    return f" round={int.from_bytes(message.context, 'big')}" if message.context else ""


def _heartbeat(message: RaftMessage) -> str:
    return f"commit={message.commit}" + _round(message)


def _read(message: RaftMessage) -> str:
    return " ".join(f"context={each.data.decode()}" for each in message.entries)


def _read_response(message: RaftMessage) -> str:
    return f"index={message.index} {_read(message)}"


_FORMS: dict[int, tuple[Callable[[RaftMessage], str], set[str]]] = {
    RaftMessage.TYPE_PROPOSE: (_proposal, {"entries"}),
    RaftMessage.TYPE_APPEND: (_append, {"index", "log_term", "entries", "commit"}),
    RaftMessage.TYPE_APPEND_RESPONSE: (
        _append_response,
        {"index", "log_term", "reject", "reject_hint"},
    ),
    RaftMessage.TYPE_VOTE: (_vote, {"index", "log_term", "entries", "context"}),
    RaftMessage.TYPE_PRE_VOTE: (_vote, {"index", "log_term", "entries", "context"}),
    RaftMessage.TYPE_VOTE_RESPONSE: (_vote_response, {"reject", "entries"}),
    RaftMessage.TYPE_PRE_VOTE_RESPONSE: (_vote_response, {"reject", "entries"}),
    RaftMessage.TYPE_SNAPSHOT: (lambda message: snapshot_text(message.snapshot), {"snapshot"}),
    RaftMessage.TYPE_HEARTBEAT: (_heartbeat, {"commit", "context"}),
    RaftMessage.TYPE_HEARTBEAT_RESPONSE: (lambda message: _round(message).strip(), {"context"}),
    RaftMessage.TYPE_READ_INDEX: (_read, {"entries"}),
    RaftMessage.TYPE_READ_INDEX_RESPONSE: (_read_response, {"index", "entries"}),
}
_ENVELOPE = {"type", "to", "from", "term"}


def message_text(message: RaftMessage) -> str:
    """One line: sender, receiver, type, term, and what the type carries."""
    form, known = _FORMS.get(message.type, (lambda _message: "", set()))
    term = f"term={message.term}" if message.term else ""
    odd = [
        f"!{fields.name}={' '.join(str(value).split())}"
        for fields, value in message.ListFields()
        if fields.name not in known | _ENVELOPE
    ]
    route = f"{getattr(message, 'from')}->{message.to}"
    return " ".join(part for part in (route, type_text(message), term, form(message), *odd) if part)
