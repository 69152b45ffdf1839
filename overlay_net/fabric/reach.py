"""Whom a tunnel reaches, kept up one endpoint at a time. Pure."""

from collections.abc import Hashable, Mapping

from overlay_net.fabric.picture import Entries


class Reach:
    """The entries of one tunnel, with who brought them, and which have changed since they were
    last asked for.

    Where two bring the same key, the one who came last has it; if he goes, the other gets it back.
    """

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self._brought: dict[Hashable, Mapping[bytes, bytes]] = {}
        self._contested: set[bytes] = set()
        self._changed: set[bytes] = set()

    def put(self, who: Hashable, entries: Entries) -> None:
        """Instead of all that `who` brought before."""
        before = self._brought.get(who)
        if before == entries:
            return
        if before is not None:
            self.drop(who)
        if not entries:
            return
        self._brought[who] = entries
        for key, value in entries.items():
            if key in self.entries:
                self._contested.add(key)
            self.entries[key] = value
            self._changed.add(key)

    def drop(self, who: Hashable) -> None:
        """All that `who` brought."""
        for key in self._brought.pop(who, {}):
            self._changed.add(key)
            heir = self._heir(key) if key in self._contested else None
            if heir is None:
                self.entries.pop(key, None)
                self._contested.discard(key)
            else:
                self.entries[key] = heir

    def take_changed(self) -> set[bytes]:
        """Keys that may have changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def _heir(self, key: bytes) -> bytes | None:
        """What the last of those who still bring this key brought; rare, so it is searched for."""
        for entries in reversed(self._brought.values()):
            if key in entries:
                return entries[key]
        return None
