"""Which version runs: one link, switched at once. The last one before it that ran stays, to go back
to: one that never answered is nothing to go back to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from machine.layout import CURRENT, version_folder
from machine.provisioning import Change, Kind
from machine.steps.places import keep_former, point
from machine.steps.seen import Seen
from machine.steps.step import Work


@dataclass(frozen=True)
class Current:
    """This version is the one that runs from the next start on."""

    version: str
    name: str = "current"
    paths: Sequence[str] = (CURRENT,)

    def change(self, seen: Seen) -> Change | None:
        """Whether it is another."""
        now = seen.target(CURRENT)
        if now == self.version and seen.manifest.version == self.version:
            return None
        if not now:
            return Change(Kind.ADD, self.name, f"run {self.version}")
        return Change(Kind.CHANGE, self.name, f"run {self.version}", f"{now} runs")

    async def apply(self, work: Work) -> None:
        """Notes what goes back to what, and that nobody knows any more what runs; then switches."""
        previous = work.book.before(self.version)
        book = replace(work.book, version=self.version, previous=previous, running={})
        await work.save(book)
        await keep_former(work, CURRENT)
        await point(work, CURRENT, self.version)


@dataclass(frozen=True)
class FormerVersions:
    """Of our versions only the one that runs and the last before it that ran are kept."""

    version: str
    name: str = "former versions"
    paths: Sequence[str] = ()

    def change(self, seen: Seen) -> Change | None:
        """Those that nobody goes back to."""
        gone = self._gone(seen)
        if not gone:
            return None
        return Change(Kind.REMOVE, self.name, f"remove {' '.join(gone)}")

    async def apply(self, work: Work) -> None:
        """Removes them."""
        gone = self._gone(work.seen)
        for version in gone:
            await work.run(["rm", "-rf", "--", version_folder(version)])
        left = tuple(each for each in work.book.versions if each not in gone)
        await work.save(replace(work.book, versions=left))

    def _gone(self, seen: Seen) -> list[str]:
        book = seen.manifest
        kept = (self.version, book.before(self.version))
        return [each for each in book.versions if each not in kept]
