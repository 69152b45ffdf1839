"""The operator's own authority as it lies in his store: made at first use, renewed with overlap.

    ca/authority.pem    key and certificate of the one that signs now, in one file: one rename
    ca/former.pem       the certificate of the one before it, while it is trusted still
    ca/issued.json      whom it gave client certificates
    ca/crl.pem          the list of those that were revoked, as hosts have it
    client/ca.pem, cert.pem, key.pem    the operator's own, as SWARM_CERT_PATH takes it

While `former.pem` is there, both are trusted: hosts learn of the new one before the operator shows
a certificate of it. Whatever is cut off is done by doing it again. Sends nothing to hosts.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.certificates import is_key_of, load_certificate
from api.errors import Code, SwarmError
from api.identity import Credentials
from machine.certs.authority import (
    Authority,
    client_certificate,
    expiry_of,
    new_authority,
    revocation_list,
    server_certificate,
)
from machine.certs.issued import Issued, decoded, encoded, without
from machine.certs.renewal import is_due
from machine.store import files
from machine.store.lock import user
from machine.store.store import Store

_AUTHORITY = "authority.pem"
_FORMER = "former.pem"
_REVOCATIONS = "crl.pem"
_END_OF_KEY = b"-----END PRIVATE KEY-----\n"
PATIENCE = 10.0
"""Seconds that a command waits for another one that changes the same files."""


class OperatorCa:
    """Of the operator whose store this is. Calls block for a moment; none speaks to a host."""

    def __init__(self, store: Store) -> None:
        """Makes the authority if there is none."""
        self._store = store
        self._folder = store.root / "ca"
        self.client_folder = store.root / "client"
        """ca.pem, cert.pem and key.pem of the operator; there once `client` was called."""
        if not self.exists(store):
            with self._changing("making the authority"):
                if not self.exists(store):
                    self._write_authority(new_authority(store.now()))

    @staticmethod
    def exists(store: Store) -> bool:
        """Whether this operator has an authority already."""
        return (store.root / "ca" / _AUTHORITY).exists()

    @property
    def signing_pem(self) -> bytes:
        """The certificate of the present authority."""
        return self._present().certificate_pem

    @property
    def trusted_pem(self) -> bytes:
        """What hosts and people are to trust: the present authority, and the former meanwhile."""
        return self.signing_pem + self._former()

    def client(self) -> Path:
        """The folder of the operator's own certificate, which is made or renewed if it is due."""
        if self._client_is_due():
            with self._changing("renewing the operator's certificate"):
                if self._client_is_due():  # nobody was faster
                    write_papers(self.client_folder, self._issue(user()))
        return self.client_folder

    def renew_client(self) -> None:
        """Gives the operator himself a certificate of the present authority."""
        with self._changing("renewing the operator's certificate"):
            write_papers(self.client_folder, self._issue(user()))

    def issue(self, person: str) -> Credentials:
        """A client certificate for a person, who may have others; they go on being good."""
        with self._changing(f"giving {person} a certificate"):
            return self._issue(person)

    def issued(self) -> tuple[Issued, ...]:
        """Every client certificate that has not expired, revoked ones too, of those authorities
        that are trusted.
        """
        path = self._folder / "issued.json"
        return decoded(files.read(path), str(path))

    def revoke(self, person: str) -> None:
        """Makes all certificates of a person worthless, once hosts have the new list."""
        with self._changing(f"revoking {person}"):
            entries = without(self.issued(), person, self._store.now())
            self._write_revocations(entries)  # first: nobody revokes a second time who is noted
            self._write_issued(entries)

    def revocations_pem(self) -> bytes:
        """The list for the hosts: the same bytes until somebody is revoked."""
        return files.read(self._folder / _REVOCATIONS) or self._write_revocations(self.issued())

    def server(self, names: tuple[str, ...]) -> Credentials:
        """A fresh certificate for the API of a host of these addresses and names."""
        papers = server_certificate(self._present(), names, self._store.now())
        return Credentials(papers.key_pem, papers.certificate_pem, self.trusted_pem)

    def is_rotating(self) -> bool:
        """Whether one authority takes the place of another."""
        return bool(self._former())

    def losing(self) -> tuple[str, ...]:
        """Others whose certificates are worth nothing once the authority has been replaced."""
        stays = self._serial if self.is_rotating() else None
        lost = {e.person for e in self.issued() if not e.revoked and e.authority != stays}
        return tuple(sorted(lost - {user()}))

    def rotate(self) -> None:
        """Begins to replace the authority: from now on a new one signs, and both are trusted.

        What follows: hosts get the new files, then `renew_client`, then `end_rotation`, and hosts
        get the files again. REFUSED while an earlier rotation has not ended.
        """
        with self._changing("replacing the authority"):
            if self.is_rotating():
                raise SwarmError(
                    Code.REFUSED,
                    "the authority is being replaced already",
                    remedy="end that first",
                )
            files.replace(self._folder / _FORMER, self.signing_pem)
            self._write_authority(new_authority(self._store.now()))
            self._write_revocations(self.issued())
            files.replace(self.client_folder / "ca.pem", self.trusted_pem)

    def end_rotation(self) -> None:
        """Trusts the former authority no more, and forgets to whom it gave certificates."""
        with self._changing("replacing the authority"):
            # Where `rotate` was cut off the list is the former one's still: hosts would refuse it.
            self._write_revocations(self.issued())
            (self._folder / _FORMER).unlink(missing_ok=True)
            self._write_issued(tuple(e for e in self.issued() if e.authority == self._serial))
            files.replace(self.client_folder / "ca.pem", self.trusted_pem)

    def _client_is_due(self) -> bool:
        certificate = files.read(self.client_folder / "cert.pem")
        key = files.read(self.client_folder / "key.pem")
        if certificate is None or key is None or not is_key_of(key, certificate):
            return True  # the first time, or where a renewal was cut off
        serial = load_certificate(certificate).serial_number
        if any(each.serial == serial and each.revoked for each in self.issued()):
            return True  # all that bear his own name were: he had lost one
        return is_due(certificate, self._store.now()) and not self.is_rotating()

    def _issue(self, person: str) -> Credentials:
        papers = client_certificate(self._present(), person, self._store.now())
        serial = load_certificate(papers.certificate_pem).serial_number
        end = expiry_of(papers.certificate_pem)
        entry = Issued(person, serial, end, authority=self._serial)
        self._write_issued((*self.issued(), entry))
        return Credentials(papers.key_pem, papers.certificate_pem, self.trusted_pem)

    @property
    def _serial(self) -> int:
        return load_certificate(self.signing_pem).serial_number

    def _present(self) -> Authority:
        path = self._folder / _AUTHORITY
        key, _, certificate = (files.read(path) or b"").partition(_END_OF_KEY)
        try:
            authority = Authority(certificate.lstrip(), key + _END_OF_KEY)
            if is_key_of(authority.key_pem, authority.certificate_pem):
                return authority
            why = "its key is not that of its certificate"
        except SwarmError as error:
            why = str(error)
        raise SwarmError(
            Code.INVALID,
            f"{path} is damaged",
            why=why,
            remedy="put back a copy of it; without one, remove it and provision all machines again",
        )

    def _former(self) -> bytes:
        """The certificate of the authority before, while it is trusted still; else b""."""
        former = files.read(self._folder / _FORMER) or b""
        # They are the same where `rotate` was cut off before it had put another in its place.
        return b"" if former == self.signing_pem else former

    def _write_authority(self, authority: Authority) -> None:
        content = authority.key_pem.rstrip() + b"\n" + authority.certificate_pem
        files.replace(self._folder / _AUTHORITY, content)

    def _write_issued(self, entries: tuple[Issued, ...]) -> None:
        files.replace(self._folder / "issued.json", encoded(entries, self._store.now()))

    def _write_revocations(self, entries: Iterable[Issued]) -> bytes:
        gone = [(each.serial, each.revoked) for each in entries if each.revoked]
        listed = revocation_list(self._present(), gone, self._store.now())
        files.replace(self._folder / _REVOCATIONS, listed)
        return listed

    @contextmanager
    def _changing(self, doing: str) -> Iterator[None]:
        with self._store.locked_whole(doing, patience=PATIENCE):
            yield


def write_papers(folder: Path, papers: Credentials) -> None:
    """Writes ca.pem, key.pem and cert.pem, as SWARM_CERT_PATH takes them."""
    files.replace(folder / "ca.pem", papers.ca_pem)
    files.replace(folder / "key.pem", papers.key_pem)
    files.replace(folder / "cert.pem", papers.certificate_pem)
