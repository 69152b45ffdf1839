"""Ids that count up."""

from api.ids import IdSource


def counter(prefix: str = "id") -> IdSource:
    """An id source: id1, id2 and so on."""
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count}"

    return next_id
