"""The operator's own authority: what it signs is what both sides of TLS want, and it is renewed."""

import errno
import json
import ssl
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from api.certificates import is_issued_by, is_key_of
from api.errors import Code, SwarmError
from api.host_api import is_of_machines
from api.identity import identity_of
from machine.certs import host_papers
from machine.certs.authority import CLIENT_EXPIRY, expiry_of, names_in
from machine.certs.operator_ca import OperatorCa, write_papers
from machine.certs.renewal import DAY, warning
from machine.store import files
from machine.store.machine import Machine
from machine.store.store import Store
from machine.target import Target
from tests.support.tls_handshake import shake

NOW = 1_800_000_000.0


class Desk:
    """An operator's store, and his clock."""

    def __init__(self, folder: Path, now: float = NOW) -> None:
        self.now = now
        self.store = Store(folder, clock=lambda: self.now)
        self.ca = OperatorCa(self.store)

    def machine(self, name: str = "h1") -> Machine:
        machine = Machine(name, Target("web.example.org"), api="10.0.0.1:2376", names=("h1.lan",))
        self.store.save(machine)
        return machine


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "store")


def test_it_is_made_once(desk: Desk) -> None:
    again = OperatorCa(desk.store)
    assert again.trusted_pem == desk.ca.trusted_pem
    assert is_of_machines(desk.ca.trusted_pem)
    assert not is_of_machines(b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----")


def test_the_operators_certificate_is_of_role_operator(desk: Desk) -> None:
    folder = desk.ca.client()
    certificate = (folder / "cert.pem").read_bytes()
    assert identity_of(certificate).role == "operator"
    assert is_issued_by(certificate, (folder / "ca.pem").read_bytes())
    assert is_key_of((folder / "key.pem").read_bytes(), certificate)
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert (desk.ca.client() / "cert.pem").read_bytes() == certificate


def test_it_is_renewed_when_a_third_of_its_life_is_left(desk: Desk) -> None:
    first = (desk.ca.client() / "cert.pem").read_bytes()
    desk.now += CLIENT_EXPIRY * 0.6
    assert (desk.ca.client() / "cert.pem").read_bytes() == first
    desk.now += CLIENT_EXPIRY * 0.1
    second = (desk.ca.client() / "cert.pem").read_bytes()
    assert expiry_of(second) == desk.now + CLIENT_EXPIRY
    assert expiry_of(first) > desk.now, "the one before goes on being good"


def test_a_renewal_that_was_cut_off_is_made_again(desk: Desk) -> None:
    folder = desk.ca.client()
    other = desk.ca.issue("other")
    (folder / "key.pem").write_bytes(other.key_pem)
    desk.ca.client()
    assert is_key_of((folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes())


def test_who_revokes_his_own_name_gets_another_certificate(desk: Desk) -> None:
    lost = (desk.ca.client() / "cert.pem").read_bytes()
    desk.ca.revoke(identity_of(lost).id)
    found = (desk.ca.client() / "cert.pem").read_bytes()
    assert found != lost
    assert (desk.ca.client() / "cert.pem").read_bytes() == found
    assert [bool(each.revoked) for each in desk.ca.issued()] == [True, False]


def test_several_commands_at_once_make_one_certificate(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: OperatorCa(desk.store).client(), range(16)))
    assert len(desk.ca.issued()) == 1


def test_people_and_their_revocation(desk: Desk) -> None:
    alice, bob = desk.ca.issue("alice"), desk.ca.issue("bob")
    assert identity_of(alice.certificate_pem).id == "alice"
    before = desk.ca.revocations_pem()
    assert desk.ca.revocations_pem() == before
    desk.ca.revoke("alice")
    listed = _listed(desk)
    (root,) = x509.load_pem_x509_certificates(desk.ca.trusted_pem)
    assert listed.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    assert [each.serial_number for each in listed] == [identity_of(alice.certificate_pem).serial]
    with pytest.raises(SwarmError, match="those who have: bob") as caught:
        desk.ca.revoke("alice")
    assert caught.value.code is Code.NOT_FOUND
    desk.now = expiry_of(bob.certificate_pem) + 1
    desk.ca.issue("carol")
    assert [each.person for each in desk.ca.issued()] == ["carol"], "what expired is forgotten"


@pytest.mark.parametrize("person", ["", " alice", "a\nb", "x" * 65])
def test_no_names_for_people(desk: Desk, person: str) -> None:
    with pytest.raises(SwarmError, match="no name for a person"):
        desk.ca.issue(person)
    assert desk.ca.issued() == ()


def test_the_authority_is_replaced_with_overlap(desk: Desk) -> None:
    machine = desk.machine()
    old = (desk.ca.client() / "cert.pem").read_bytes()
    first = _certificate(desk, machine)
    desk.ca.rotate()
    with pytest.raises(SwarmError, match="being replaced already"):
        desk.ca.rotate()
    both = desk.ca.trusted_pem
    second = _certificate(desk, machine)
    for certificate in (old, first, second):
        assert is_issued_by(certificate, both)
    assert is_issued_by(second, desk.ca.signing_pem)
    assert not is_issued_by(first, desk.ca.signing_pem)
    assert (desk.ca.client() / "cert.pem").read_bytes() == old, "until hosts know the new one"
    assert (desk.ca.client() / "ca.pem").read_bytes() == both
    desk.ca.renew_client()
    desk.ca.end_rotation()
    new = (desk.ca.client() / "cert.pem").read_bytes()
    assert is_issued_by(new, desk.ca.trusted_pem)
    assert not is_issued_by(old, desk.ca.trusted_pem)


def test_who_had_a_certificate_of_the_former_authority_is_forgotten_with_it(desk: Desk) -> None:
    own = identity_of((desk.ca.client() / "cert.pem").read_bytes()).id
    for person in ("alice", "bob", "carol"):
        desk.ca.issue(person)
    desk.ca.revoke("carol")
    assert desk.ca.losing() == ("alice", "bob")
    desk.ca.rotate()
    desk.ca.issue("dave")
    assert desk.ca.losing() == ("alice", "bob"), "one of the new authority is not lost"
    desk.ca.renew_client()
    desk.ca.end_rotation()
    assert [each.person for each in desk.ca.issued()] == ["dave", own]
    assert desk.ca.losing() == ("dave",)


def test_certificates_whose_authority_was_not_written_down_count_as_of_the_former(
    desk: Desk,
) -> None:
    desk.ca.issue("alice")
    path = desk.store.root / "ca" / "issued.json"
    (entry,) = json.loads(path.read_text())
    del entry["authority"]
    path.write_text(json.dumps([entry]))
    desk.ca.rotate()
    assert desk.ca.losing() == ("alice",)
    desk.ca.end_rotation()
    assert desk.ca.issued() == ()


@pytest.mark.parametrize("name", ["crl.pem", "issued.json"])
def test_a_revocation_that_was_cut_off_is_made_again(desk: Desk, name: str) -> None:
    serial = identity_of(desk.ca.issue("alice").certificate_pem).serial
    desk.ca.revocations_pem()
    with full(name):
        desk.ca.revoke("alice")
    desk.ca.revoke("alice")
    assert [each.serial_number for each in _listed(desk)] == [serial]
    assert [bool(each.revoked) for each in desk.ca.issued()] == [True]


@pytest.mark.parametrize("name", ["authority.pem", "crl.pem", "ca.pem"])
def test_a_replacement_that_was_cut_off_is_gone_on_with(desk: Desk, name: str) -> None:
    machine = desk.machine()
    before = desk.ca.signing_pem
    desk.ca.client()
    desk.ca.issue("alice")
    desk.ca.revoke("alice")
    with full(name):
        desk.ca.rotate()
    assert desk.ca.trusted_pem.count(before) == 1
    if not desk.ca.is_rotating():
        desk.ca.rotate()
    host_papers.host_papers(desk.store, machine, fresh=True)
    desk.ca.renew_client()
    with full("crl.pem"):
        desk.ca.end_rotation()
    assert desk.ca.is_rotating()
    desk.ca.end_rotation()
    assert desk.ca.signing_pem != before
    assert desk.ca.trusted_pem == desk.ca.signing_pem
    (root,) = x509.load_pem_x509_certificates(desk.ca.trusted_pem)
    assert _listed(desk).is_signature_valid(root.public_key())  # type: ignore[arg-type]
    assert is_issued_by(_certificate(desk, machine), desk.ca.trusted_pem)


def test_a_host_gets_the_same_papers_until_there_is_a_reason(desk: Desk) -> None:
    machine = desk.machine()
    papers = host_papers.host_papers(desk.store, machine)
    assert papers == host_papers.host_papers(desk.store, machine)
    assert papers.settings["api_listen"] == "0.0.0.0:2376"
    assert {each.path for each in papers.files} == {
        papers.settings[key] for key in ("api_cert", "api_key", "api_ca", "api_crl")
    }
    assert {each.mode for each in papers.files if "PRIVATE" in each.content.decode()} == {0o600}
    certificate = _certificate(desk, machine)
    assert names_in(certificate) == {
        "10.0.0.1",
        "web.example.org",
        "h1",
        "h1.lan",
        "127.0.0.1",
        "localhost",
    }
    renamed = Machine("h1", Target("web.example.org"), api="10.0.0.2:2377")
    assert names_in(_certificate(desk, renamed)) >= {"10.0.0.2"}
    assert host_papers.host_papers(desk.store, renamed).settings["api_listen"] == "0.0.0.0:2377"
    assert _certificate(desk, renamed) != certificate
    of_ipv6 = Machine("h1", Target("x"), api="[fd00::1]:2376")
    assert host_papers.host_papers(desk.store, of_ipv6).settings["api_listen"] == "[::]:2376"
    assert "fd00::1" in names_in(_certificate(desk, of_ipv6))
    again = _certificate(desk, renamed)
    host_papers.host_papers(desk.store, renamed, fresh=True)
    assert _certificate(desk, renamed) != again


def test_a_colleagues_machine_gets_no_certificate_from_here(desk: Desk, tmp_path: Path) -> None:
    machine = desk.machine()
    other = Desk(tmp_path / "other")
    write_papers(desk.store.folder("h1") / "client", other.ca.issue("me"))
    assert host_papers.is_borrowed(desk.store, machine)
    assert host_papers.client_folder(desk.store, machine) == desk.store.folder("h1") / "client"
    with pytest.raises(SwarmError, match="colleague's"):
        host_papers.host_papers(desk.store, machine)


def test_what_openssl_says_of_them(tmp_path: Path) -> None:
    """A handshake in memory, with names checked."""
    desk = Desk(tmp_path / "store", time.time())  # OpenSSL reads the real clock
    host_papers.host_papers(desk.store, desk.machine())
    server = _context(ssl.PROTOCOL_TLS_SERVER, desk.store.folder("h1") / "server")
    server.verify_mode = ssl.CERT_REQUIRED
    client = _context(ssl.PROTOCOL_TLS_CLIENT, desk.ca.client())
    shake(client, server, "10.0.0.1")
    shake(client, server, "h1.lan")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"10\.0\.0\.9"):
        shake(client, server, "10.0.0.9")


def test_warnings(desk: Desk) -> None:
    certificate = desk.ca.issue("alice").certificate_pem
    end = expiry_of(certificate)
    assert warning(certificate, end - 31 * DAY) == ""
    assert warning(certificate, end - 12.5 * DAY) == "certificate expires in 12 days"
    assert warning(certificate, end) == "certificate expired"


def test_damage_is_told(desk: Desk) -> None:
    path = desk.store.root / "ca" / "authority.pem"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SwarmError, match="damaged"):
        desk.ca.issue("alice")
    issued = desk.store.root / "ca" / "issued.json"
    issued.write_text("{")
    with pytest.raises(SwarmError, match="damaged"):
        desk.ca.issued()


@contextmanager
def full(name: str) -> Iterator[None]:
    """The disk takes no file of that name, and whoever writes it is told."""
    real = files.replace

    def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content, mode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "replace", replace)
        with pytest.raises(OSError, match="No space"):
            yield


def _listed(desk: Desk) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(desk.ca.revocations_pem())


def _certificate(desk: Desk, machine: Machine) -> bytes:
    papers = host_papers.host_papers(desk.store, machine)
    return next(each.content for each in papers.files if each.path == host_papers.CERTIFICATE)


def _context(side: int, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
