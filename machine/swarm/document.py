"""Reads a document's parts by their paths, and collects all that is wrong with it. Pure.

So that somebody who wrote a file sees every mistake at once, each with where it is, and for a key
that nobody knows the one that was meant.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
_SHOWN = 40


class Mistakes(list[str]):
    """What is wrong with one document, a line each."""

    def add(self, path: str, what: str) -> None:
        """Notes a mistake at a path."""
        self.append(f"{path}: {what}" if path else what)


class Section:
    """A mapping in the document. Each key is asked for once; `end` refuses the rest."""

    def __init__(self, found: object, path: str, mistakes: Mistakes) -> None:
        self._path = path
        self._mistakes = mistakes
        self._left: dict[str, Any] = {}
        self._known: list[str] = []
        if found is None:
            return
        if not isinstance(found, Mapping):
            mistakes.add(path, f"{shown(found)} is no mapping of keys to values")
            return
        for key, value in found.items():
            if isinstance(key, str):
                self._left[key] = value
            else:
                mistakes.add(path, f"the key {shown(key)} is no text: put it in quotes")

    def at(self, key: str) -> str:
        """The path of a key."""
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, what: str) -> None:
        """Notes a mistake in a key's value."""
        self._mistakes.add(self.at(key), what)

    def names(self) -> list[str]:
        """The keys that were not asked for yet, in the document's order."""
        return list(self._left)

    def has(self, key: str) -> bool:
        """Whether the key is there with a value, and not asked for yet."""
        return self._left.get(key) is not None

    def take(self, key: str) -> Any:  # noqa: ANN401 - whatever the document holds
        """The value as it is; None if there is none."""
        self._known.append(key)
        return self._left.pop(key, None)

    def section(self, key: str) -> "Section":
        """The mapping under a key, empty if there is none."""
        return Section(self.take(key), self.at(key), self._mistakes)

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        return self._of(key, str, default, "a text")

    def switch(self, key: str, default: bool) -> bool:
        """True or false."""
        return self._of(key, bool, default, "true or false")

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        value = self.take(key)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        if value is not None:
            self.wrong(key, f"{shown(value)} is no whole number from {least} to {most}")
        return default

    def word(self, key: str, known: Mapping[str, T], default: T) -> T:
        """One of some words, as what it stands for."""
        if not self.has(key):
            self.take(key)
            return default
        word = self.text(key)
        if word and word not in known:
            self.wrong(key, f"{shown(word)} is none of {', '.join(known)}{_nearest(word, known)}")
        return known.get(word, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a text alone is a list of one."""
        value = self.take(key)
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        if value is not None:
            self.wrong(key, f"{shown(value)} is no list of texts")
        return ()

    def pairs(self, key: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        inner = self.section(key)
        return {name: inner.text(name) for name in inner.names()}

    def end(self) -> None:
        """Refuses every key that was not asked for."""
        for key in self._left:
            self.wrong(key, f"nobody knows this key{_nearest(key, self._known)}")

    def _of(self, key: str, kind: type[T], default: T, called: str) -> T:
        value = self.take(key)
        if isinstance(value, kind):
            return value
        if value is not None:
            hint = ": put it in quotes" if kind is str and not isinstance(value, _NESTED) else ""
            self.wrong(key, f"{shown(value)} is not {called}{hint}")
        return default


_NESTED = (list, dict)


def shown(value: object) -> str:
    """A value in a message: what is nested is named by its kind, and what is long is cut."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _nearest(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), 1)
    if found:
        return f": did you mean {found[0]}?"
    return ""
