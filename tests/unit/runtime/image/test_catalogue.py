"""Names of images, and Docker's rules of removing them."""

from collections.abc import Sequence

import pytest

from api.errors import Code, SwarmError
from runtime.image.catalogue import Catalogue, Record
from runtime.image.reference import parse

A, B, L1, L2 = (f"sha256:{digit * 64}" for digit in "ab12")
MA, MB = f"sha256:{'c' * 64}", f"sha256:{'d' * 64}"


def catalogue(**images: Sequence[str]) -> Catalogue:
    """Images `a` and `b` under these names."""
    found = Catalogue()
    for key, names in images.items():
        image = {"a": A, "b": B}[key]
        found.add(Record(image, (L1, L2), 10, 5.0), [parse(name) for name in names])
    return found


def removed(
    store: Catalogue, text: str, *, force: bool = False, in_use: Sequence[str] = ()
) -> tuple[list[str], str]:
    removal = store.remove(text, force=force, in_use=in_use)
    return removal.untagged, removal.deleted.id if removal.deleted else ""


@pytest.mark.parametrize(
    "text",
    [
        "x:1",
        "docker.io/library/x:1",
        f"x@{MA}",
        f"x:other@{MA}",
        A,
        "a" * 64,
        "aaaaaa",
        "sha256:aa",
    ],
)
def test_an_image_is_found_by_any_name(text: str) -> None:
    assert catalogue(a=["x:1", f"x@{MA}"], b=["x:2"]).find(text).id == A


def test_a_name_goes_before_an_id() -> None:
    assert catalogue(a=["x"], b=["aaaa"]).find("aaaa").id == B


@pytest.mark.parametrize("text", ["x:3", f"x@{MB}", MA, "ffff", "f" * 64])
def test_what_is_not_there_is_to_be_pulled(text: str) -> None:
    with pytest.raises(SwarmError) as missing:
        catalogue(a=["x:1"]).find(text)
    assert missing.value.code is Code.NOT_FOUND
    assert "pull" in missing.value.remedy


def test_an_ambiguous_id_is_refused() -> None:
    store = catalogue(a=["x"])
    store.add(Record(A[:-1] + "0", (), 0, 0.0), [])
    with pytest.raises(SwarmError) as refusal:
        store.find("aaaa")
    assert refusal.value.code is Code.INVALID


REMOVALS = [
    # names of a, what is removed, untagged, whether the image goes
    (["x:1"], "x:1", ["x:1"], True),
    (["x:1", "x:2"], "x:1", ["x:1"], False),
    (["x:1", "y:1"], "x:1", ["x:1"], False),
    (["x:1", f"x@{MA}"], "x:1", ["x:1", f"x@{MA}"], True),
    (["x:1", "x:2", f"x@{MA}"], "x:1", ["x:1"], False),
    (["x:1", "y:1", f"x@{MA}"], "x:1", ["x:1", f"x@{MA}"], False),
    (["x:1", f"x@{MA}"], f"x@{MA}", [f"x@{MA}"], False),
    ([f"x@{MA}"], f"x:1@{MA}", [f"x@{MA}"], True),
    (["x:1", f"x@{MA}"], A, ["x:1", f"x@{MA}"], True),
    ([f"x@{MA}"], "aaaa", [f"x@{MA}"], True),
    ([], A, [], True),
]


@pytest.mark.parametrize(("names", "text", "untagged", "gone"), REMOVALS)
def test_the_last_name_takes_the_image_along(
    names: list[str], text: str, untagged: list[str], gone: bool
) -> None:
    store = catalogue(a=names, b=["z"])
    assert removed(store, text) == (untagged, A if gone else "")
    assert (A in store.images) is not gone
    assert store.find("z").id == B
    assert {A, B} >= set(store.tags.values()) | set(store.digests.values())


@pytest.mark.parametrize("names", [["x:1", "x:2"], ["x:1", "y:1"], ["x:1", f"y@{MA}"]])
def test_an_id_with_several_names_needs_force(names: list[str]) -> None:
    store = catalogue(a=names)
    with pytest.raises(SwarmError) as refusal:
        removed(store, A)
    assert refusal.value.code is Code.REFUSED
    assert removed(store, A, force=True) == (names, A)


@pytest.mark.parametrize("text", ["x:1", A])
def test_an_image_in_use_keeps_its_data(text: str) -> None:
    store = catalogue(a=["x:1"])
    with pytest.raises(SwarmError) as refusal:
        removed(store, text, in_use=[A])
    assert refusal.value.code is Code.REFUSED
    assert removed(store, text, in_use=[A], force=True) == (["x:1"], "")
    assert store.find(A).id == A
    assert removed(store, A) == ([], A)


def test_one_of_two_names_goes_though_in_use() -> None:
    assert removed(catalogue(a=["x:1", "x:2"]), "x:1", in_use=[A]) == (["x:1"], "")


def test_a_name_moves_to_the_newer_image() -> None:
    store = catalogue(a=["x:1", f"x@{MA}"])
    store.add(Record(B, (), 0, 0.0), [parse("x:1"), parse(f"x@{MB}")])
    assert store.find("x:1").id == B
    assert [name.familiar() for name in store.digest_names(A)] == [f"x@{MA}"]
    assert store.names(A) == []


def test_a_copy_changes_by_itself() -> None:
    store = catalogue(a=["x:1"])
    copy = store.copy()
    removed(copy, "x:1")
    assert store.find("x:1").id == A


def test_what_is_stored_comes_back() -> None:
    store = catalogue(a=["x:1", f"x@{MA}"], b=[])
    assert Catalogue.from_json(store.to_json()) == store
    assert set(store.held()) == {A, B, L1, L2}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"version": 2}', b'{"version": 1, "images": 3}']
)
def test_a_damaged_catalogue_is_told(body: bytes) -> None:
    with pytest.raises(SwarmError) as damage:
        Catalogue.from_json(body)
    assert damage.value.code is Code.INTERNAL
