"""The secrets and configs that managers have given this node: in memory, and nowhere else. Pure.

A COMPLETE message names all that the node is to have, an INCREMENTAL one what changes. A daemon
that starts anew has none, and gets them with its first assignments.
"""

from collections.abc import Mapping

from api.files import Key
from api.payloads import Content
from api.v1 import dispatcher_pb2

Message = dispatcher_pb2.AssignmentsMessage
Change = dispatcher_pb2.AssignmentChange


class HeldFiles:
    """Contents by kind and id."""

    def __init__(self) -> None:
        self._contents: dict[Key, Content] = {}

    @property
    def contents(self) -> Mapping[Key, Content]:
        """What there is by now; the mapping changes with every message."""
        return self._contents

    def follow(self, message: Message) -> frozenset[Key]:
        """Takes in a message; the keys of what is new."""
        named: set[Key] = set()
        fresh: set[Key] = set()
        for change in message.changes:
            key = _key(change)
            if key is None:
                continue
            if change.action == Change.ACTION_REMOVE:
                self._contents.pop(key, None)
                continue
            named.add(key)
            file = change.secret if key[0] == "secret" else change.config
            if file.HasField("spec") and key not in self._contents:
                self._contents[key] = Content(file.spec.data, file.spec.template_driver)
                fresh.add(key)
        if message.type == Message.TYPE_COMPLETE:
            for key in self._contents.keys() - named:
                del self._contents[key]
        return frozenset(fresh)


def _key(change: Change) -> Key | None:
    match change.WhichOneof("item"):
        case "secret":
            return "secret", change.secret.id
        case "config":
            return "config", change.config.id
        case _:
            return None
