"""Whether labels are what a filter asks for. Pure."""

from collections.abc import Iterable, Mapping


def have_all(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Whether every text of `wanted` holds: KEY, that there is one; KEY=VALUE, that it says so."""
    return all(_has(labels, text) for text in wanted)


def _has(labels: Mapping[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)
