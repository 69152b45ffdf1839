"""This manager's place in the group: one small file beside the log's folder.

Written whole and atomically; it changes only where a manager joins or starts a group. Knows
nothing of the log, which is believed first wherever it knows better.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.v1.raft_pb2 import Member
from hostkit.durable import replace
from manager.raft.durable import damage

FORMAT = 1
_TOP = 1 << 64


@dataclass(frozen=True)
class GroupIdentity:
    """Who this manager is in which group.

    `members`: those it was told of when it joined, to talk to until the log knows better; for one
    that starts a new group, itself alone. Ids are 64-bit numbers and not 0.
    """

    raft_id: int
    group_id: int
    members: tuple[Member, ...]


def load(path: Path) -> GroupIdentity | None:
    """What `save` wrote; None if there is nothing. SwarmError INTERNAL if it is anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    try:
        return _identity(content)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"it is not what was written there: {error!r}") from error


def save(path: Path, identity: GroupIdentity) -> None:
    """Replaces the file, 0600, durable on return; a crash leaves the old content or the new."""
    content = {
        "format": FORMAT,
        "raft_id": identity.raft_id,
        "group_id": identity.group_id,
        "members": [
            {"raft_id": each.raft_id, "node_id": each.node_id, "address": each.address}
            for each in identity.members
        ],
    }
    replace(path, json.dumps(content, indent=1).encode())


def _identity(content: Any) -> GroupIdentity:  # noqa: ANN401 - whatever a file can hold
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}, known is {FORMAT}")
    members = tuple(
        Member(raft_id=_id(each["raft_id"]), node_id=each["node_id"], address=each["address"])
        for each in content["members"]
    )
    return GroupIdentity(_id(content["raft_id"]), _id(content["group_id"]), members)


def _id(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _TOP:
        raise ValueError(f"{value!r} is no id")
    return value


def _damaged(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.INTERNAL,
        f"cannot read this manager's place in its group in {path}",
        why=why,
        remedy=damage.REJOIN,
    )
