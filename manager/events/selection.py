"""Which events a reader asks for: --filter of `swarmctl events`. Pure.

Several values of one key are alternatives, different keys all have to match, as in Docker. A kind's
own key also selects what tells of such an object: service=web the events of its tasks too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from api.errors import Code, SwarmError, invalid
from api.v1 import events_pb2
from manager.events.kinds import CREATE, REMOVE, TABLE, Happening

MAX_VALUES = 100
"""Values of all filters of one reader together: each is looked at for each event."""

Test = Callable[[Happening, str], bool]


def _is_of_type(happening: Happening, word: str) -> bool:
    return happening.kind == word


def _is_called(happening: Happening, action: str) -> bool:
    return happening.action == action


def _is_named(happening: Happening, name: str) -> bool:
    return happening.attributes.get("name") == name


def _is_labelled(happening: Happening, label: str) -> bool:
    key, equals, value = label.partition("=")
    found = happening.labels.get(key)
    return found is not None and (not equals or found == value)


def _concerns(word: str) -> Test:
    """Whether an event is of such an object, or tells of it, by its name or the start of its id."""
    by_id = f"{word}.id"

    def test(happening: Happening, key: str) -> bool:
        told = happening.attributes
        if happening.kind == word:
            return told.get("name") == key or happening.id.startswith(key)
        return told.get(word) == key or (by_id in told and told[by_id].startswith(key))

    return test


_WORDS = tuple(kind.word for kind in TABLE.values())
_ACTIONS = frozenset((CREATE, REMOVE, *(each for kind in TABLE.values() for each in kind.told)))
_TESTS: Mapping[str, Test] = {
    "type": _is_of_type,
    "event": _is_called,
    "name": _is_named,
    "label": _is_labelled,
    **{word: _concerns(word) for word in _WORDS},
}
_CONFIDENTIAL = frozenset(kind.word for kind in TABLE.values() if kind.confidential)


class Selection:
    """The filters of one reader. `trusted`: he may know of secrets, configs and operators.

    SwarmError: INVALID for a key, type or event that there is not, or too many values; DENIED for
    a type that he must not read. What he must not read is else left out.
    """

    KEYS = tuple(_TESTS)
    """Those that a filter may have."""

    def __init__(self, filters: Sequence[events_pb2.EventFilter], *, trusted: bool) -> None:
        self._tests: dict[str, list[str]] = {}
        for given in filters:
            _check(given, trusted=trusted)
            self._tests.setdefault(given.key, []).extend(given.values)
        if sum(map(len, self._tests.values())) > MAX_VALUES:
            raise invalid("filters", f"more than {MAX_VALUES} values", remedy="ask for less")
        self._hidden = frozenset() if trusted else _CONFIDENTIAL

    def __call__(self, happening: Happening) -> bool:
        """Whether the reader is to be told."""
        if happening.kind in self._hidden:
            return False
        return all(
            any(_TESTS[key](happening, value) for value in values)
            for key, values in self._tests.items()
        )


def _check(given: events_pb2.EventFilter, *, trusted: bool) -> None:
    if given.key not in _TESTS:
        raise invalid(
            "filters", f"no key {given.key!r}", why=f"they are {', '.join(Selection.KEYS)}"
        )
    if not all(given.values) or not given.values:
        raise invalid("filters", f"{given.key} needs a value", remedy=f"write {given.key}=VALUE")
    if given.key == "type":
        _check_words(given.values, _WORDS, "type")
    elif given.key == "event":
        _check_words(given.values, sorted(_ACTIONS), "event")
    asked = {given.key, *(given.values if given.key == "type" else ())}
    if not trusted and asked & _CONFIDENTIAL:
        raise SwarmError(
            Code.DENIED,
            f"a worker is not told of {', '.join(sorted(asked & _CONFIDENTIAL))}",
            remedy="ask on a manager, or with an operator's certificate",
            field="filters",
        )


def _check_words(values: Iterable[str], known: Sequence[str], word: str) -> None:
    for value in values:
        if value not in known:
            raise invalid(
                "filters", f"there is no {word} {value!r}", why=f"they are {', '.join(known)}"
            )
