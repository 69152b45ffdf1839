"""Which images a list asks for, by the rules of `docker image ls`. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from api.labels import have_all
from api.v1 import host_pb2
from runtime.image.reference import parse
from runtime.image.store import StoredImage

Find = Callable[[str], StoredImage]
"""The image that a reference or id means; NOT_FOUND if there is none."""


def select(
    images: Iterable[StoredImage], request: host_pb2.ListImagesRequest, find: Find
) -> Iterator[StoredImage]:
    """Those that match, in their order; where names are asked for, with these names alone."""
    oldest = min((find(name).created_at for name in request.since), default=None)
    newest = max((find(name).created_at for name in request.before), default=None)
    for each in images:
        if (
            (oldest is None or each.created_at > oldest)
            and (newest is None or each.created_at < newest)
            and (not request.reference or _is_called(each, request.reference))
            and (not request.dangling or any(_dangles(each, word) for word in request.dangling))
            and have_all((each.config.get("config") or {}).get("Labels") or {}, request.labels)
        ):
            shown = _with_names(each, request.patterns) if request.patterns else each
            if shown is not None:
                yield shown


def _dangles(image: StoredImage, word: bool) -> bool:
    """Docker's rule; what is known by its digest alone is found either way."""
    return not image.references if word else bool(image.references or image.digests)


def _is_called(image: StoredImage, text: str) -> bool:
    wanted = parse(text)
    tagged = ":" in text.rpartition("/")[2]
    return any(
        (each.domain, each.path) == (wanted.domain, wanted.path)
        and (not tagged or each.tag == wanted.tag)
        for each in map(parse, image.references)
    )


def _with_names(image: StoredImage, patterns: Sequence[str]) -> StoredImage | None:
    """The image under those of its names that one of the patterns fits; None if there are none."""
    references = tuple(name for name in image.references if _fits(name, patterns))
    digests = tuple(name for name in image.digests if _fits(name, patterns))
    if not references and not digests:
        return None
    return replace(image, references=references, digests=digests)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    repository = head + slash + last.partition(":")[0]
    return any(_matches(text, each) for each in patterns for text in (name, repository))


def _matches(text: str, pattern: str) -> bool:
    # As Go's path.Match: a star stands for no slash.
    parts, wanted = text.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
