"""What clients did to named registers, and when: the input of the checker.

A register is created, updated from a version that the client has seen, read and deleted. Times are
of one clock for all clients, in seconds. Holds facts only: nothing here judges them.
"""

import dataclasses
import enum
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class Kind(enum.Enum):
    """What was asked."""

    CREATE = "create"
    UPDATE = "update"
    READ = "read"
    DELETE = "delete"


class Outcome(enum.Enum):
    """What was answered."""

    DONE = "done"
    EXISTS = "exists"  # create: there is one of that name; nothing was changed
    ABSENT = "absent"  # read, update, delete: there is none; nothing was changed
    STALE = "stale"  # update: its version is not the present one; nothing was changed
    UNKNOWN = "unknown"  # no answer: it took effect at any time after its call, or never will


_OUTCOMES = {
    Kind.CREATE: {Outcome.DONE, Outcome.EXISTS, Outcome.UNKNOWN},
    Kind.UPDATE: {Outcome.DONE, Outcome.ABSENT, Outcome.STALE, Outcome.UNKNOWN},
    Kind.READ: {Outcome.DONE, Outcome.ABSENT},
    Kind.DELETE: {Outcome.DONE, Outcome.ABSENT, Outcome.UNKNOWN},
}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation as its client saw it. ValueError if no client can have seen it so.

    `value`: what was written, or found by a read; no two operations write the same.
    `expected`: the version an update was made from. `version`: that of `value`, if it is known.
    """

    client: str
    key: str
    kind: Kind
    outcome: Outcome
    called: float
    returned: float = math.inf
    value: str = ""
    expected: int | None = None
    version: int | None = None

    def __post_init__(self) -> None:
        if self.outcome not in _OUTCOMES[self.kind]:
            raise ValueError(f"no {self.kind.value} is answered with {self.outcome.value}")
        if self.called >= self.returned or self.is_unknown != math.isinf(self.returned):
            raise ValueError("an answer comes after its call, and only what has none is unknown")
        if (self.kind is Kind.UPDATE) != (self.expected is not None):
            raise ValueError("an update, and nothing else, is made from a version")

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if it took effect."""
        return self.outcome is Outcome.UNKNOWN

    @property
    def is_done(self) -> bool:
        """Whether it was carried out and answered."""
        return self.outcome is Outcome.DONE

    @property
    def may_write(self) -> bool:
        """Whether the register may have been another afterwards."""
        return self.kind is not Kind.READ and (self.is_done or self.is_unknown)

    def unanswered(self) -> "Operation":
        """The same, had its answer been lost; of a write alone."""
        return dataclasses.replace(self, outcome=Outcome.UNKNOWN, returned=math.inf)


History = Sequence[Operation]


def by_key(history: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations on each register, in order of their calls."""
    found: dict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(history, key=lambda each: each.called):
        found[operation.key].append(operation)
    return dict(found)


def save(history: Iterable[Operation], path: Path) -> None:
    """Write a history, one operation per line."""
    path.write_text("".join(f"{_line(each)}\n" for each in history), encoding="utf-8")


def load(path: Path) -> list[Operation]:
    """Read what `save` has written."""
    return [_operation(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _line(operation: Operation) -> str:
    fields = dataclasses.asdict(operation)
    fields |= {"kind": operation.kind.value, "outcome": operation.outcome.value}
    if operation.is_unknown:
        del fields["returned"]  # JSON knows no infinity
    return json.dumps(fields)


def _operation(fields: dict[str, Any]) -> Operation:
    typed = {"kind": Kind(fields["kind"]), "outcome": Outcome(fields["outcome"])}
    return Operation(**{**fields, **typed})
