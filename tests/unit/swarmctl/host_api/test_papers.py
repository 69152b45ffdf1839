"""The files of a host's API: a set that is not good is told, and the one before stays."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.identity import identity_of
from swarmctl.host_api.papers import Files, PapersOnDisk, read
from tests.support.host_api import ApiDesk


@pytest.fixture
def desk(tmp_path: Path) -> ApiDesk:
    made = ApiDesk(tmp_path)
    made.provision()
    return made


def files_of(desk: ApiDesk) -> Files:
    return Files(*(desk.host / f"{name}.pem" for name in ("cert", "key", "ca", "crl")))


def test_what_they_say(desk: ApiDesk) -> None:
    alice = desk.ca.issue("alice")
    assert read(files_of(desk)).revoked == frozenset()
    desk.ca.revoke("alice")
    desk.provision()
    papers = read(files_of(desk))
    assert papers.revoked == {identity_of(alice.certificate_pem).serial}
    assert papers.credentials.ca_pem == desk.ca.trusted_pem
    assert "PRIVATE" not in repr(papers)


def test_the_list_of_the_revoked_may_be_missing(desk: ApiDesk) -> None:
    (desk.host / "crl.pem").unlink()
    assert read(files_of(desk)).revoked == frozenset()


def _other_key(desk: ApiDesk) -> None:
    (desk.host / "key.pem").write_bytes(desk.ca.issue("bob").key_pem)


def _foreign_list(desk: ApiDesk) -> None:
    folder = desk.host / "other"
    folder.mkdir()
    (desk.host / "crl.pem").write_bytes(ApiDesk(folder).ca.revocations_pem())


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda desk: (desk.host / "cert.pem").unlink(), "cert.pem: No such file"),
        (lambda desk: (desk.host / "cert.pem").write_bytes(b"x"), "cert.pem"),
        (lambda desk: (desk.host / "key.pem").write_bytes(b"x"), "private key cannot be read"),
        (_other_key, "not for the key"),
        (lambda desk: (desk.host / "ca.pem").write_bytes(b""), "holds no certificate"),
        (lambda desk: (desk.host / "ca.pem").write_bytes(b"x"), "ca.pem"),
        (lambda desk: (desk.host / "crl.pem").write_bytes(b"x"), "no list of revoked"),
        (_foreign_list, "nobody in"),
        (lambda desk: os.truncate(desk.host / "crl.pem", 2 << 20), "more than"),
    ],
)
def test_what_is_wrong_is_told(
    desk: ApiDesk, harm: Callable[[ApiDesk], object], words: str
) -> None:
    disk = PapersOnDisk(files_of(desk))
    assert disk.look()
    before = disk.present
    harm(desk)
    with pytest.raises(SwarmError, match=words) as caught:
        read(files_of(desk))
    assert caught.value.code is Code.REFUSED
    assert not disk.look()
    assert words in disk.complaint
    assert disk.present == before
    for name in ("cert", "key", "ca", "crl"):
        (desk.host / f"{name}.pem").unlink(missing_ok=True)
    desk.provision()
    assert not disk.look(), "the same papers as before"
    assert disk.complaint == ""


def test_it_reads_again_only_what_was_changed(desk: ApiDesk) -> None:
    disk = PapersOnDisk(files_of(desk))
    assert [disk.look(), disk.look()] == [True, False]
    desk.provision(fresh=True)
    assert [disk.look(), disk.look()] == [True, False]
