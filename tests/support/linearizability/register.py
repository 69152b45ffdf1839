"""The model: what one register answers if all that happens to it happens one at a time.

As the control API has it: versions are indexes of the log, so a later write never bears a lower
one; several writes may share an entry, and so a version, but an update's is above the one that it
was made from. A version that is not known may be any, but NOBODYS is one that no client ever saw.
"""

from typing import NamedTuple

from tests.support.linearizability.history import Kind, Operation, Outcome


class Register(NamedTuple):
    """`value` is None while there is no register; `last` is the highest version known of it."""

    value: str | None
    version: int | None
    last: int


ABSENT = Register(None, None, 0)
ANY = Register("", None, 0)
"""A register of which nothing is known, not even whether it is there."""
NOBODYS = 0
"""A version that no update can have been made from."""


def step(state: Register, operation: Operation) -> Register | None:
    """The register after the operation; None if it could not be answered so here.

    One of unknown outcome is taken to take effect here; None if it would have none.
    """
    if state == ANY:
        return _made_known(operation)
    if operation.outcome is Outcome.ABSENT:
        return state if state.value is None else None
    if operation.kind is Kind.CREATE:
        return _create(state, operation)
    if state.value is None:
        return None
    if operation.kind is Kind.UPDATE:
        return _update(state, operation)
    if operation.kind is Kind.READ:
        return _bound(state, operation.version) if state.value == operation.value else None
    return Register(None, None, state.last)


def _made_known(operation: Operation) -> Register:
    """What the first look at a register tells."""
    if operation.outcome in (Outcome.EXISTS, Outcome.STALE):
        return ANY
    if operation.outcome is Outcome.ABSENT or operation.kind is Kind.DELETE:
        return ABSENT
    return Register(operation.value, operation.version, operation.version or 0)


def _create(state: Register, operation: Operation) -> Register | None:
    if operation.outcome is Outcome.EXISTS:
        return None if state.value is None else state
    return _written(state, operation) if state.value is None else None


def _update(state: Register, operation: Operation) -> Register | None:
    expected = operation.expected
    if operation.outcome is Outcome.STALE:
        return state if state.version is None or state.version != expected else None
    base = _bound(state, expected)
    if base is None or (operation.version is not None and operation.version == expected):
        return None
    return _written(base, operation)


def _bound(state: Register, version: int | None) -> Register | None:
    """The register once it is known to be at a version; None if it is at another."""
    if version is None:
        return state
    if state.version is None:
        known = Register(state.value, version, version)
        return known if version >= state.last else None
    return state if version == state.version else None


def _written(state: Register, operation: Operation) -> Register | None:
    version = operation.version
    if not version:
        return Register(operation.value, version, state.last)
    return Register(operation.value, version, version) if version >= state.last else None
