"""Histories of clients that overlap at random on a real object that does one thing at a time.

So every history is good, unless the object is told to lie once. All chance comes from the dice.
"""

import dataclasses
import enum
import math
import random
from collections import defaultdict

from tests.support.linearizability.history import Kind, Operation, Outcome

_LOST = 0.04
_FORMER = 4
_KINDS = (Kind.READ,) * 4 + (Kind.UPDATE,) * 4 + (Kind.CREATE,) * 2 + (Kind.DELETE,)


class Lie(enum.Enum):
    """What an object may do wrong, once."""

    STALE_READ = "a read answers with the first value of a register that has seen four more"
    FORGOTTEN = "an update is acknowledged and has no effect"
    UNCHECKED = "an update from an old version is carried out"
    INVENTED = "a read answers with what nobody wrote"
    UNDONE = "a refused update is carried out"
    TWICE = "a create is carried out a second time after its register was deleted"


@dataclasses.dataclass
class _Call:
    """An operation under way; `answer` once it took effect."""

    client: str
    kind: Kind
    called: float
    key: str
    value: str
    expected: int | None
    answer: tuple[Outcome, str, int | None] | None = None


class Registers:
    """Registers by name. `lie` is told at the first occasion after so many operations."""

    def __init__(self, lie: Lie | None = None, after: int = 0) -> None:
        self.lied = False
        self._lie = lie
        self._after = after
        self._version = 0
        self._now: dict[str, tuple[str, int]] = {}
        self._before: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._made: dict[str, str] = {}

    def apply(self, call: _Call) -> tuple[Outcome, str, int | None]:
        """Carry out an operation: its outcome, the value written or read, and its version."""
        self._version += 1
        present = self._now.get(call.key)
        if call.kind is Kind.CREATE:
            return self._create(call, present)
        if present is None:
            return self._missed(call)
        if call.kind is Kind.UPDATE:
            return self._update(call, present)
        if call.kind is Kind.DELETE:
            del self._now[call.key]
            self._before[call.key].clear()
            return Outcome.DONE, "", None
        return Outcome.DONE, *self._read(call.key, present)

    def version(self, key: str) -> int:
        """The present version of a register; 0 if there is none."""
        return self._now.get(key, ("", 0))[1]

    def _create(
        self, call: _Call, present: tuple[str, int] | None
    ) -> tuple[Outcome, str, int | None]:
        if present is not None:
            return Outcome.EXISTS, call.value, None
        self._made[call.key] = call.value
        return self._write(call)

    def _missed(self, call: _Call) -> tuple[Outcome, str, int | None]:
        made = self._made.get(call.key)
        if call.kind is Kind.READ and made is not None and self._lies(Lie.TWICE):
            self._now[call.key] = (made, self._version)
            return Outcome.DONE, made, self._version
        return Outcome.ABSENT, call.value, None

    def _update(self, call: _Call, present: tuple[str, int]) -> tuple[Outcome, str, int | None]:
        if call.expected == present[1]:
            if self._lies(Lie.FORGOTTEN):
                return Outcome.DONE, call.value, self._version
            return self._write(call)
        if self._lies(Lie.UNCHECKED):
            return self._write(call)
        if self._lies(Lie.UNDONE):
            self._write(call)
        return Outcome.STALE, call.value, None

    def _read(self, key: str, present: tuple[str, int]) -> tuple[str, int]:
        if self._lies(Lie.INVENTED):
            return "?", present[1]
        before = self._before[key]
        return before[0] if len(before) >= _FORMER and self._lies(Lie.STALE_READ) else present

    def _write(self, call: _Call) -> tuple[Outcome, str, int | None]:
        if call.key in self._now:
            self._before[call.key].append(self._now[call.key])
        self._now[call.key] = (call.value, self._version)
        return Outcome.DONE, call.value, self._version

    def _lies(self, lie: Lie) -> bool:
        told = lie is self._lie and not self.lied and self._version > self._after
        self.lied = self.lied or told
        return told


def random_history(
    dice: random.Random,
    *,
    clients: int = 5,
    operations: int = 200,
    keys: int = 2,
    registers: Registers | None = None,
) -> list[Operation]:
    """So many operations altogether. Time is a count of events; some answers are lost."""
    return _Run(dice, registers or Registers(), keys).run(clients, operations)


class _Run:
    def __init__(self, dice: random.Random, registers: Registers, keys: int) -> None:
        self._dice = dice
        self._registers = registers
        self._keys = [f"k{number}" for number in range(keys)]
        self._time = 0.0
        self._calls = 0
        self._lost: list[_Call] = []
        self._done: list[Operation] = []

    def run(self, clients: int, operations: int) -> list[Operation]:
        """Lets one client after the other do its next step: call, take effect, be answered."""
        busy: dict[str, _Call] = {}
        while self._calls < operations or busy:
            client = f"c{self._dice.randrange(clients)}"
            self._time += 1
            call = busy.get(client)
            if call is None:
                if self._calls < operations:
                    busy[client] = self._called(client)
            elif call.answer is None and self._is_lost(call):
                self._lost.append(busy.pop(client))
            elif call.answer is None:
                call.answer = self._registers.apply(call)
            else:
                self._done.append(_operation(busy.pop(client), self._time))
            if self._lost and self._dice.random() < _LOST:
                self._registers.apply(self._lost[-1])
                self._done.append(_operation(self._lost.pop(), math.inf))
        return self._done + [_operation(each, math.inf) for each in self._lost]

    def _called(self, client: str) -> _Call:
        self._calls += 1
        kind = self._dice.choice(_KINDS)
        key = self._dice.choice(self._keys)
        writes = kind in (Kind.CREATE, Kind.UPDATE)
        expected = None
        if kind is Kind.UPDATE:
            expected = max(1, self._registers.version(key) - self._dice.choice((0, 0, 0, 1)))
        return _Call(client, kind, self._time, key, f"v{self._calls}" if writes else "", expected)

    def _is_lost(self, call: _Call) -> bool:
        return call.kind is not Kind.READ and self._dice.random() < _LOST


def _operation(call: _Call, returned: float) -> Operation:
    outcome, value, version = call.answer or (Outcome.UNKNOWN, call.value, None)
    if outcome is not Outcome.DONE and call.kind is Kind.READ:
        value = ""
    return Operation(
        call.client,
        call.key,
        call.kind,
        outcome,
        call.called,
        returned,
        value,
        call.expected,
        version,
    )
