"""Which images `image ls` shows."""

from dataclasses import replace

import pytest

from api.errors import Code, SwarmError
from api.v1 import host_pb2
from runtime.image.selection import select
from runtime.image.store import StoredImage

List = host_pb2.ListImagesRequest
DIGEST = "@sha256:" + "d" * 64


def image(name: str, at: float, *references: str, **labels: str) -> StoredImage:
    digests = tuple({each.rpartition(":")[0] + DIGEST for each in references})
    config = {"config": {"Labels": labels or None}}
    return StoredImage(name, references, digests, (), config, 0, at)


IMAGES = [
    image("web", 3, "nginx:1.27", "localhost:5000/team/web:latest", tier="front", os="deb"),
    image("base", 2, "busybox:1", os="deb"),
    StoredImage("bare", (), (), (), {}, 0, 1),
]


def find(name: str) -> StoredImage:
    for each in IMAGES:
        if name == each.id:
            return each
    raise SwarmError(Code.NOT_FOUND, f"image {name} is not on this host")


@pytest.mark.parametrize(
    ("request_", "ids"),
    [
        (List(), ["web", "base", "bare"]),
        (List(reference="nginx"), ["web"]),
        (List(reference="nginx:1.26"), []),
        (List(dangling=[True]), ["bare"]),
        (List(dangling=[False]), ["web", "base"]),
        (List(dangling=[True, False]), ["web", "base", "bare"]),
        (List(labels=["os"]), ["web", "base"]),
        (List(labels=["os=deb", "tier"]), ["web"]),
        (List(since=["bare"]), ["web", "base"]),
        (List(before=["web"], since=["bare"]), ["base"]),
        (List(before=["base", "web"]), ["base", "bare"]),
        (List(since=["base", "bare"]), ["web", "base"]),
        (List(patterns=["ngi*"]), ["web"]),
        (List(patterns=["busybox:*", "none"]), ["base"]),
        (List(patterns=["*"]), ["web", "base"]),
        (List(patterns=["*/*/web"]), ["web"]),
        (List(patterns=["*/web"]), []),
    ],
)
def test_images(request_: List, ids: list[str]) -> None:
    assert [each.id for each in select(IMAGES, request_, find)] == ids


def test_a_pattern_leaves_only_the_names_that_it_fits() -> None:
    (found,) = select(IMAGES, List(patterns=["nginx"]), find)
    assert (found.references, found.digests) == (("nginx:1.27",), ("nginx" + DIGEST,))


@pytest.mark.parametrize("word", [True, False])
def test_what_is_known_by_its_digest_alone_is_found_either_way(word: bool) -> None:
    pinned = replace(IMAGES[1], references=())
    assert list(select([pinned], List(dangling=[word]), find)) == [pinned]


def test_an_image_to_compare_with_has_to_be_there() -> None:
    with pytest.raises(SwarmError, match="gone is not on this host"):
        list(select(IMAGES, List(before=["gone"]), find))
