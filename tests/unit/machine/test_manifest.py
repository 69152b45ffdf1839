"""The book of what was done to a host survives, and is never misread."""

import json
from dataclasses import fields

import pytest

from api.errors import SwarmError
from machine.manifest import DamagedError, Entry, Manifest, decoded, encoded

FULL = Manifest(
    version="2",
    previous="1",
    doing="service",
    packages=("crun",),
    groups=("swarm",),
    folders=("/opt/swarm",),
    empty=("/var/lib/swarm",),
    versions=("1", "2"),
    replaced={"/etc/hosts": "-> x"},
    hostname="old",
    service="active enabled",
    running={"version": "2"},
    log=(Entry("packages", "install crun", "alice@ws", 12.5),),
)


def test_it_is_read_back_whole() -> None:
    assert all(getattr(FULL, each.name) for each in fields(Manifest))
    assert decoded(encoded(FULL), "h1") == FULL
    assert decoded(None, "h1") == Manifest()


def test_fields_that_are_not_known_are_left_out() -> None:
    told = json.loads(encoded(FULL)) | {"later": 1}
    assert decoded(json.dumps(told).encode(), "h1") == FULL


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"steps": [', b'{"schema": 1, "log": [{}]}', b"\xff", b"[" * 9999],
)
def test_what_cannot_be_read_is_no_manifest(content: bytes) -> None:
    with pytest.raises(DamagedError, match=r"/etc/swarm/machine\.json cannot be read"):
        decoded(content, "h1")


def test_what_a_later_program_wrote_is_left_to_it() -> None:
    with pytest.raises(SwarmError, match="h1 was installed by another swarmctl"):
        decoded(b'{"schema": 2, "log": {}}', "h1")


def test_the_log_is_bounded() -> None:
    book = Manifest()
    for number in range(200):
        book = book.begun("x").done(Entry("x", str(number), "me", number))
    assert book.doing == ""
    assert (len(book.log), book.log[-1].what) == (100, "199")


def test_folders_are_ours_by_what_was_there_first() -> None:
    book = Manifest().with_folders(["/opt/swarm"], ["/var/lib/swarm"])
    assert (book.folders, book.empty) == (("/opt/swarm",), ("/var/lib/swarm",))
    again = book.with_folders([], ["/opt/swarm", "/var/lib/swarm"])
    assert again == book
