"""Which images there are, under which names, and what happens to them when a name is removed.

The rules of removal are Docker's (moby, `ImageDelete`). Pure: a changed copy is stored by whoever
asked for it, and counts only then.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from api.errors import Code, SwarmError, invalid
from runtime.image import digest as digests
from runtime.image.reference import Reference, parse

_VERSION = 1
_PREFIX = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")
_SHORT = 12


@dataclass(frozen=True)
class Record:
    """One image: `id` is the digest of its configuration; `layers` are diff ids, lowest first."""

    id: str
    layers: tuple[str, ...]
    size: int  # bytes of the files of all layers
    created: float  # seconds since the epoch


@dataclass(frozen=True)
class Removal:
    """What a removal does: names that go, as people see them, and the image if that goes too."""

    untagged: list[str]
    deleted: Record | None


@dataclass
class Catalogue:
    """All images, and to which of them each name leads: `repository:tag`, `repository@digest`."""

    images: dict[str, Record] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "Catalogue":
        """One that can be changed without changing this."""
        return Catalogue(dict(self.images), dict(self.tags), dict(self.digests))

    # Reading

    def find(self, text: str) -> Record:
        """The image that `text` names: a reference, an id, or the beginning of an id.

        SwarmError NOT_FOUND if there is none, INVALID if `text` fits several or nothing.
        """
        if digests.is_valid(text) and text in self.images:
            return self.images[text]
        named = self._named(text)
        if named is not None:
            return self.images[named]
        matches = self._with_prefix(text)
        if len(matches) > 1:
            ids = ", ".join(sorted(each.removeprefix("sha256:")[:_SHORT] for each in matches))
            raise invalid("image", f"{text} fits several images", why=ids, remedy="give more of it")
        if matches:
            return self.images[matches[0]]
        raise SwarmError(
            Code.NOT_FOUND,
            f"image {text} is not on this host",
            remedy=f"pull it with `swarmctl image pull {text}`",
        )

    def names(self, image: str) -> list[Reference]:
        """The references of an image with a tag, sorted."""
        return [parse(name) for name in sorted(self.tags) if self.tags[name] == image]

    def digest_names(self, image: str) -> list[Reference]:
        """The references of an image by digest, sorted."""
        return [parse(name) for name in sorted(self.digests) if self.digests[name] == image]

    def held(self) -> Iterator[str]:
        """The digests of all configurations and layers that images need."""
        for record in self.images.values():
            yield record.id
            yield from record.layers

    # Changing

    def add(self, record: Record, names: Collection[Reference]) -> None:
        """Adds an image under `names`; a name that led to another image leads here now."""
        self.images[record.id] = record
        for name in names:
            if name.digest:
                self.digests[_key(name)] = record.id
            else:
                self.tags[_key(name)] = record.id

    def remove(self, text: str, *, force: bool, in_use: Collection[str]) -> Removal:
        """Removes a name, and the image with its last name; or an image by its id.

        An image of `in_use` keeps its data even if forced: its names go, and it stays under its id.
        SwarmError REFUSED without force if it is in use, or if an id has names in several
        repositories.
        """
        record = self.find(text)
        if _is_id(text, record.id):
            going = self._all_names(record.id, text, force=force)
            last = True
        else:
            going = self._going(parse(text), record.id)
            last = len(going) == len(self.names(record.id)) + len(self.digest_names(record.id))
        used = record.id in in_use
        if last and used and not force:
            raise SwarmError(
                Code.REFUSED,
                f"image {text} is in use",
                why="a container on this host was made from it",
                remedy="remove the container first, or use --force to take away only the name",
            )
        for name in going:
            (self.digests if name.digest else self.tags).pop(_key(name))
        gone = last and not used
        if gone:
            del self.images[record.id]
        return Removal([name.familiar() for name in going], record if gone else None)

    def _going(self, name: Reference, image: str) -> list[Reference]:
        """The names that go with `name`: with the last tag in a repository, its digests too."""
        if name.digest:
            return [replace(name, tag="")]
        others = [each for each in self.names(image) if each != name]
        if any(each.repository == name.repository for each in others):
            return [name]
        same = [d for d in self.digest_names(image) if d.repository == name.repository]
        return [name, *same]

    def _all_names(self, image: str, text: str, *, force: bool) -> list[Reference]:
        names = self.names(image)
        everything = [*names, *self.digest_names(image)]
        if not force and (len(names) > 1 or len({name.repository for name in everything}) > 1):
            raise SwarmError(
                Code.REFUSED,
                f"image {text} has several names",
                why=", ".join(name.familiar() for name in everything),
                remedy="remove them one by one, or use --force",
            )
        return everything

    def _named(self, text: str) -> str | None:
        try:
            name = parse(text)
        except SwarmError:
            if _PREFIX.fullmatch(text):
                return None
            raise
        return (self.digests if name.digest else self.tags).get(_key(name))

    def _with_prefix(self, text: str) -> list[str]:
        if not _PREFIX.fullmatch(text):
            return []
        return [image for image in self.images if _is_id(text, image)]

    # On disk

    def to_json(self) -> bytes:
        """As it is stored."""
        images = {
            record.id: {"layers": record.layers, "size": record.size, "created": record.created}
            for record in self.images.values()
        }
        document = {
            "version": _VERSION, "images": images, "tags": self.tags, "digests": self.digests
        }  # fmt: skip
        return json.dumps(document, indent=1, sort_keys=True).encode()

    @staticmethod
    def from_json(body: bytes) -> "Catalogue":
        """What `to_json` stored. SwarmError INTERNAL if it is anything else."""
        try:
            document = json.loads(body)
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}")
            images = {
                key: Record(key, tuple(each["layers"]), int(each["size"]), float(each["created"]))
                for key, each in document["images"].items()
            }
            return Catalogue(images, dict(document["tags"]), dict(document["digests"]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise SwarmError(
                Code.INTERNAL,
                "the catalogue of images is unreadable",
                why=str(error),
                remedy="move the directory of images away, and pull the images again",
            ) from error


def _key(name: Reference) -> str:
    """How a name is listed: with a digest, the tag does not count."""
    return str(replace(name, tag="")) if name.digest else str(name)


def _is_id(text: str, image: str) -> bool:
    return bool(text) and (image.startswith(text) or image.partition(":")[2].startswith(text))
