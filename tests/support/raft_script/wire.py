"""What is between the members: messages under way in the order sent, and the links that are cut.

It never delivers by itself, and loses only what a script or a cut link tells it to.
"""

from collections.abc import Iterable, Mapping

from api.v1.raft_pb2 import RaftMessage
from tests.support.raft_script.script import ScriptError
from tests.support.raft_script.words import type_text


def sender(message: RaftMessage) -> int:
    """`from` is a word of Python."""
    return int(getattr(message, "from"))


class Wire:
    """Keeps copies, as a real wire does: nobody sees what a sender does to a message later."""

    def __init__(self) -> None:
        self.under_way: list[RaftMessage] = []
        self._cuts: set[tuple[int, int]] = set()

    def send(self, messages: Iterable[RaftMessage]) -> None:
        for message in messages:
            self.under_way.append(RaftMessage.FromString(message.SerializeToString()))

    def select(self, options: Mapping[str, str]) -> list[RaftMessage]:
        """Those that match from=, to= and type=, the first n= of them."""
        found = [message for message in self.under_way if _matches(message, options)]
        return found[: int(options.get("n", len(found)))]

    def take(self, messages: Iterable[RaftMessage]) -> None:
        """They are no longer under way."""
        taken = {id(message) for message in messages}
        self.under_way = [each for each in self.under_way if id(each) not in taken]

    def cut(self, one: int, other: int) -> None:
        self._cuts |= {(one, other), (other, one)}

    def heal(self) -> None:
        self._cuts.clear()

    def carries(self, message: RaftMessage) -> bool:
        return (sender(message), message.to) not in self._cuts


def _matches(message: RaftMessage, options: Mapping[str, str]) -> bool:
    facts = {"from": str(sender(message)), "to": str(message.to), "type": type_text(message)}
    if odd := set(options) - {*facts, "n"}:
        raise ScriptError(f"messages are not chosen by {', '.join(sorted(odd))}")
    return all(facts[key] in wanted.split(",") for key, wanted in options.items() if key != "n")
