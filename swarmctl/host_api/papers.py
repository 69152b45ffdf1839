"""The files that a host's API lives by: its certificate and key, whom it trusts, who is revoked.

They are looked at again and again, so that whoever replaces one need not restart the daemon. A set
that is not good is not taken over: the one before stays, and what is wrong is told.
"""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from api.certificates import certificates_in, is_key_of
from api.errors import Code, SwarmError
from api.identity import Credentials

_LIMIT = 1 << 20
"""Bytes that one of the files may have."""


@dataclass(frozen=True)
class Files:
    """Where they are. `revoked` need not be named, and its file need not be there."""

    certificate: Path
    key: Path
    authority: Path
    revoked: Path | None = None


@dataclass(frozen=True)
class Papers:
    """What they say. `credentials.ca_pem`: the operators' own authorities."""

    credentials: Credentials
    revoked: frozenset[int] = field(default_factory=frozenset)


class PapersOnDisk:
    """The papers of now. Blocks while it reads."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: object = None
        self.present: Papers | None = None
        self.complaint = ""
        """What is wrong with the files as they are now; empty if nothing is."""

    def look(self) -> bool:
        """Reads them if they were changed since the last look; whether other papers count now."""
        seen = [_stamp(path) for path in _paths(self._files)]
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            papers = read(self._files)
        except SwarmError as error:
            self.complaint = str(error)
            return False
        self.complaint = ""
        changed, self.present = papers != self.present, papers
        return changed


def read(files: Files) -> Papers:
    """What the files say; REFUSED if one of them is missing, damaged or does not fit the others."""
    certificate, key, authority = map(_content, (files.certificate, files.key, files.authority))
    try:
        if not is_key_of(key, certificate):
            raise _unfit(files.certificate, f"it is not for the key in {files.key}")
        roots = certificates_in(authority)
        if not roots:
            raise _unfit(files.authority, "it holds no certificate")
    except SwarmError as error:
        if error.code is Code.REFUSED:
            raise
        raise _unfit(
            files.certificate, f"{error}; see also {files.key}, {files.authority}"
        ) from None
    return Papers(Credentials(key, certificate, authority), _revoked(files, roots))


def _revoked(files: Files, roots: list[x509.Certificate]) -> frozenset[int]:
    if files.revoked is None or not files.revoked.exists():
        return frozenset()
    try:
        listed = x509.load_pem_x509_crl(_content(files.revoked))
        signed = any(
            listed.is_signature_valid(root.public_key())  # type: ignore[arg-type] # raises TypeError
            for root in roots
        )
        serials = frozenset(each.serial_number for each in listed)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unfit(files.revoked, f"it is no list of revoked certificates: {error}") from None
    if not signed:
        raise _unfit(files.revoked, f"nobody in {files.authority} signed it")
    return serials


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise _unfit(path, error.strerror or str(error)) from None
    if len(content) > _LIMIT:
        raise _unfit(path, f"it has more than {_LIMIT} bytes")
    return content


def _paths(files: Files) -> list[Path]:
    named = (files.certificate, files.key, files.authority, files.revoked)
    return [path for path in named if path is not None]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or written."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _unfit(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"the host's API cannot use {path}",
        why=why,
        remedy="provision the host again, or put the right file there: it is read at once",
    )
