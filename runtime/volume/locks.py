"""A lock for each name, for as long as somebody holds it or waits for it."""

import asyncio
from weakref import WeakValueDictionary


class Locks:
    """`async with locks("name")`: one after the other for a name; other names do not wait."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __call__(self, name: str) -> asyncio.Lock:
        """The lock of that name."""
        found = self._locks.get(name)
        if found is None:
            found = self._locks[name] = asyncio.Lock()
        return found
