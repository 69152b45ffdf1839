"""Bytes and objects as they should be, damaged in ways that reach past the first check."""

import struct
from typing import Any

import hypothesis.strategies as st


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """`data` cut short, with other bytes, with lengths that lie, or with a part twice or gone."""
    ends = st.integers(0, len(data))
    cut = ends.map(lambda n: data[:n])
    changed = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=4)
    words = st.tuples(st.integers(0, len(data) // 2 - 1), st.sampled_from([0, 1, 3, 4, 5, 0xFFFF]))
    parts = st.tuples(ends, ends)
    return st.one_of(
        cut,
        changed.map(lambda pairs: _with(data, pairs)),
        words.map(lambda pair: _with_word(data, *pair)),
        parts.map(lambda two: data[: min(two)] + data[max(two) :]),
        parts.map(lambda two: data[: max(two)] + data[min(two) :]),
    )


def damaged_object(found: Any) -> st.SearchStrategy[Any]:
    """An object of JSON in which one value within it, at any depth, is another one."""
    places = _places(found, ())[1:]
    others: st.SearchStrategy[Any] = st.sampled_from(
        [None, 0, "", "x", [], {}, [[]], [None, None], {"concat": 1}]
    )
    return st.tuples(st.sampled_from(places), others).map(lambda pair: _put(found, *pair))


def _with(data: bytes, pairs: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in pairs:
        changed[at] = value
    return bytes(changed)


def _with_word(data: bytes, at: int, word: int) -> bytes:
    return data[: 2 * at] + struct.pack("=H", word) + data[2 * at + 2 :]


def _places(found: Any, path: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if not isinstance(found, dict | list):
        return [path]
    inner = found.items() if isinstance(found, dict) else enumerate(found)
    return [path, *(each for key, value in inner for each in _places(value, (*path, key)))]


def _put(found: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copied = dict(found) if isinstance(found, dict) else list(found)
    copied[path[0]] = _put(found[path[0]], path[1:], value)
    return copied
