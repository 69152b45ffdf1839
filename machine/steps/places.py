"""Files and links. What is replaced is kept beside the manifest before it goes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from machine import manifest
from machine.manifest import Manifest
from machine.provisioning import Change, Kind
from machine.steps.seen import Place, Seen
from machine.steps.step import Work

LINK = "-> "
_REPLACE_LINK = 'ln -sfn -- "$1" "$2.new" && mv -fT -- "$2.new" "$2"'


@dataclass(frozen=True)
class File:
    """A file has this content and mode, and is root's."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644

    @property
    def name(self) -> str:
        """The path."""
        return self.path

    @property
    def paths(self) -> Sequence[str]:
        """The path."""
        return (self.path,)

    def change(self, seen: Seen) -> Change | None:
        """What is different."""
        place = seen.places.get(self.path)
        if place is None:
            return Change(Kind.ADD, self.name, f"write {self.path}")
        if why := self._difference(place):
            return Change(Kind.CHANGE, self.name, f"write {self.path}", why)
        return None

    def _difference(self, place: Place) -> str:
        if place.kind != "file":
            return f"it is a {place.kind}"
        if place.content != hashlib.sha256(self.content).hexdigest():
            return "its content is another"
        if place.mode != self.mode or place.owner != "root:root":
            return f"it is {place.owner}'s with mode {place.mode:o}"
        return ""

    async def apply(self, work: Work) -> None:
        """Keeps what was there, then replaces it as a whole."""
        await keep_former(work, self.path)
        await work.remote.write(self.path, self.content, mode=self.mode)


@dataclass(frozen=True)
class Link:
    """A link leads there."""

    path: str
    target: str

    @property
    def name(self) -> str:
        """The path."""
        return self.path

    @property
    def paths(self) -> Sequence[str]:
        """The path."""
        return (self.path,)

    def change(self, seen: Seen) -> Change | None:
        """Whether it leads elsewhere."""
        place = seen.places.get(self.path)
        if place is None:
            return Change(Kind.ADD, self.name, f"link to {self.target}")
        if seen.target(self.path) == self.target:
            return None
        was = place.content if place.kind == "link" else f"a {place.kind}"
        return Change(Kind.CHANGE, self.name, f"link to {self.target}", f"it is {was}")

    async def apply(self, work: Work) -> None:
        """Keeps what was there, then replaces it at once."""
        await keep_former(work, self.path)
        await point(work, self.path, self.target)


async def point(work: Work, path: str, target: str) -> None:
    """Makes a link lead to `target`; there is no moment without it."""
    await work.run(["sh", "-c", _REPLACE_LINK, "sh", target, path])


async def keep_former(work: Work, path: str) -> None:
    """Notes what was at a path before us, and copies a file that was; the first time only."""
    if path in work.book.replaced:
        return
    place = work.seen.places.get(path)
    former = ""
    if place is not None and place.kind == "link":
        former = LINK + place.content
    elif place is not None:
        former = f"{manifest.SAVED}/{hashlib.sha256(path.encode()).hexdigest()[:16]}"
        await work.run(["mkdir", "-p", "-m", "0700", manifest.SAVED])
        await work.run(["cp", "-a", "--", path, former])
    await work.save(_noting(work.book, path, former))


def _noting(book: Manifest, path: str, former: str) -> Manifest:
    return replace(book, replaced={**book.replaced, path: former})
