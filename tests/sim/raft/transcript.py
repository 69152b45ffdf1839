"""What happened, for people: the last events of a run, put into words only when somebody asks."""

from collections import deque
from typing import Any
from zlib import crc32

from api.v1.raft_pb2 import ConfChange, ConfState, Entry, HardState, RaftMessage
from manager.raft.core.ready import Ready

TAIL = 160
"""Lines of a failed run that are shown."""


class Transcript:
    """Keeps the last `keep` events. `sum`, with `whole`, is of every line from the start."""

    def __init__(self, *, keep: int = TAIL, whole: bool = False) -> None:
        self._events: deque[tuple[int, str, tuple[Any, ...]]] = deque(maxlen=keep)
        self._whole = whole
        self.sum = 0

    def note(self, now: int, what: str, *args: Any) -> None:
        """An event at `now` ms. `what` is a format for `args`; these are not altered later."""
        event = (now, what, args)
        self._events.append(event)
        if self._whole:
            self.sum = crc32(_line(event).encode(), self.sum)

    def lines(self) -> list[str]:
        """The last events, the newest at the end."""
        return [_line(event) for event in self._events]


def _line(event: tuple[int, str, tuple[Any, ...]]) -> str:
    now, what, args = event
    text = what.format(*map(_word, args))
    return f"{now / 1000:9.3f}  {text}"


def _word(value: object) -> str:
    match value:
        case RaftMessage():
            return _message(value)
        case Ready():
            return _ready(value)
        case ConfChange():
            return _change(value)
        case ConfState():
            return words_of(value)
    return str(value)


def _message(message: RaftMessage) -> str:
    kind = RaftMessage.Type.Name(message.type).removeprefix("TYPE_").lower()
    words = [f"{getattr(message, 'from')} to {message.to} {kind} term {message.term}"]
    if message.log_term or message.index:
        words.append(f"at {message.index}/{message.log_term}")
    if message.entries:
        words.append(_entries(list(message.entries)))
    if message.commit:
        words.append(f"commit {message.commit}")
    if message.HasField("snapshot"):
        words.append(f"up to {message.snapshot.metadata.index}")
    if message.reject:
        words.append(f"no, hint {message.reject_hint}")
    if message.context:
        words.append(message.context.decode(errors="replace"))
    return " ".join(words)


def _ready(ready: Ready) -> str:
    words = []
    if ready.soft_state is not None:
        words.append(f"{ready.soft_state.role.value} of leader {ready.soft_state.leader}")
    if ready.hard_state is not None:
        words.append(_hard_state(ready.hard_state))
    if ready.snapshot is not None:
        words.append(f"snapshot up to {ready.snapshot.metadata.index}")
    if ready.entries:
        words.append(f"saves {_entries(ready.entries)}")
    if ready.committed_entries:
        words.append(f"applies {_entries(ready.committed_entries)}")
    return ", ".join(words)


def _hard_state(state: HardState) -> str:
    return f"term {state.term} vote {state.vote} commit {state.commit}"


def _entries(entries: list[Entry]) -> str:
    first, last = entries[0], entries[-1]
    text = f"entries {first.index}/{first.term}"
    if len(entries) > 1:
        text += f"..{last.index}/{last.term}"
    return text + "".join(
        f" [{each.index}: {_change(ConfChange.FromString(each.data))}]"
        for each in entries
        if each.type == Entry.TYPE_CONF_CHANGE
    )


def _change(change: ConfChange) -> str:
    words = [f"{_change_kind(each.type)} {each.member.raft_id}" for each in change.changes] or [
        "leave joint"
    ]
    if change.transition:
        words.append(ConfChange.Transition.Name(change.transition).split("_")[1].lower())
    return ", ".join(words)


def words_of(conf: ConfState) -> str:
    """A configuration in one line."""
    words = [f"voters {list(conf.voters)}"]
    if conf.voters_outgoing:
        words.append(f"and {list(conf.voters_outgoing)}")
    if conf.learners:
        words.append(f"learners {list(conf.learners)}")
    if conf.learners_next:
        words.append(f"then also {list(conf.learners_next)}")
    return ", ".join(words)


def _change_kind(kind: int) -> str:
    return ("voter", "remove", "update", "learner")[kind]
