"""Who a node or an operator is: its key, its certificate, and how both are kept on disk.

A certificate is ECDSA P-256: CN is the id, OU the role, O the cluster id; its server names (SAN)
are the id and, of managers, `swarm-manager` and `swarm-ca`. This module holds that format, for
those who issue certificates and for those who read them. It signs none, and reads no clock.

A certificate may have a chain behind it, from the root that signed it to roots that were trusted
before; and several roots may be trusted at once, while one takes the place of another.

On disk key, certificate and roots are one file, so that one rename replaces all three: whatever
moment the power fails, a reader finds the old set or the new one, never a key beside another's
certificate. Only its owner may read the file or enter its directory. Where the swarm is locked the
private key in it is encrypted: PKCS #8 under a password that is not kept here.
"""

import functools
import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.certificates import (
    certificates_in,
    is_issued_by,
    is_key_of,
    is_signed,
    load_certificate,
    load_key,
    unreadable,
)
from api.errors import Code, SwarmError
from api.v1 import types_pb2

Role = Literal["worker", "manager", "operator"]

EVERY_ROLE: frozenset[Role] = frozenset(get_args(Role))
MANAGER_NAME = "swarm-manager"
"""The server name of every manager, on the control port."""
CA_NAME = "swarm-ca"
"""The server name of every manager, on the identity port."""
BACKDATE = 3600.0
"""Seconds by which certificates begin early, for hosts whose clocks are slow (SwarmKit, ca/)."""
ROLE_OF_NODE: dict[types_pb2.NodeRole.ValueType, Role] = {
    types_pb2.NODE_ROLE_WORKER: "worker",
    types_pb2.NODE_ROLE_MANAGER: "manager",
}
_SHOWN = "%Y-%m-%d %H:%M UTC"
_RENEWAL_BEGINS, _RENEWAL_ENDS = 0.5, 0.8
FILE_NAME = "node.key"
"""PEM blocks in this order: private key, certificate and its chain, roots."""
_FILE_LIMIT = 64 << 10
_LEAST_BLOCKS = 3
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate says. `id`: of the node or operator; `not_after`: seconds since 1970."""

    role: Role
    id: str
    cluster_id: str
    serial: int
    not_after: float


@dataclass(frozen=True, slots=True)
class Credentials:
    """A private key (its repr hides it), the certificate for it, and the cluster's root.

    Each of the two may be several PEM blocks: the certificate with its chain, all trusted roots.
    """

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    ca_pem: bytes

    @property
    def identity(self) -> Identity:
        """What the certificate says."""
        return identity_of(self.certificate_pem)


def new_key() -> bytes:
    """A fresh P-256 private key, as PKCS #8 PEM without a passphrase."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def make_csr(key_pem: bytes) -> bytes:
    """A signing request (PEM) for the key. It names nobody: who its owner is, the CA says."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(load_key(key_pem), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def subject_of(role: Role, object_id: str, cluster_id: str) -> x509.Name:
    """The subject that `identity_of` reads."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
            x509.NameAttribute(NameOID.COMMON_NAME, object_id),
        ]
    )


def server_names(role: Role, object_id: str) -> list[str]:
    """The names under which the owner of a certificate may be called."""
    return [object_id, MANAGER_NAME, CA_NAME] if role == "manager" else [object_id]


# A server asks on every call, of a few connections: their certificates are parsed once.
@functools.lru_cache(maxsize=1024)
def identity_of(certificate: bytes) -> Identity:
    """What a certificate (PEM or DER) says; UNAUTHENTICATED if it is none of ours.

    Who signed it and whether it is still valid is not looked at: TLS has done that.
    """
    parsed = load_certificate(certificate)
    role = _attribute(parsed, NameOID.ORGANIZATIONAL_UNIT_NAME)
    if role not in EVERY_ROLE:
        raise unreadable(f"it gives its owner the unknown role {role!r}")
    return Identity(
        role=role,
        id=_attribute(parsed, NameOID.COMMON_NAME),
        cluster_id=_attribute(parsed, NameOID.ORGANIZATION_NAME),
        serial=parsed.serial_number,
        not_after=parsed.not_valid_after_utc.timestamp(),
    )


def check_current(certificate: bytes, now: float) -> None:
    """UNAVAILABLE if a certificate that was made a moment ago is not valid at `now`.

    Whoever believes it is refused by all whose clocks are right, or refuses them.
    """
    parsed = load_certificate(certificate)
    start, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    if start.timestamp() <= now < end.timestamp():
        return
    here = datetime.fromtimestamp(now, UTC)
    raise SwarmError(
        Code.UNAVAILABLE,
        "the new certificate of this node is not valid now",
        why=f"it is valid from {start:{_SHOWN}} to {end:{_SHOWN}}, and here it is {here:{_SHOWN}}",
        remedy="set the clocks of this host and of the managers right, then try again",
    )


def renewal_time(certificate: bytes, chance: float) -> float:
    """When to renew, seconds since 1970: after 50 to 80 % of its life (SwarmKit, ca/renewer.go).

    `chance` in [0, 1) spreads the nodes of a cluster over that span.
    """
    parsed = load_certificate(certificate)
    start = parsed.not_valid_before_utc.timestamp() + BACKDATE
    life = parsed.not_valid_after_utc.timestamp() - start
    return start + life * (_RENEWAL_BEGINS + (_RENEWAL_ENDS - _RENEWAL_BEGINS) * chance)


def save_credentials(
    directory: Path, credentials: Credentials, password: bytes | None = None
) -> None:
    """Replaces what is kept in `directory`, durably and at once; makes the directory if missing.

    With a password the private key is encrypted in the file. OSError leaves the old file or the
    new one.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    path = directory / FILE_NAME
    fresh = directory / f".{FILE_NAME}.new"
    fresh.unlink(missing_ok=True)  # of a write that was cut off
    key_pem = credentials.key_pem if password is None else _encrypted(credentials, password)
    blocks = (key_pem, credentials.certificate_pem, credentials.ca_pem)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(fresh, flags, 0o600), "wb") as file:
        file.write(b"".join(block.strip() + b"\n" for block in blocks))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_directory(directory)


def load_credentials(directory: Path, passwords: Iterable[bytes] = ()) -> Credentials | None:
    """What is kept in `directory`, or None; REFUSED if it is damaged, DENIED if its private key is
    encrypted under none of the passwords. Validity in time: TLS's.
    """
    path = directory / FILE_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        _tighten(path, descriptor)
        content = file.read(_FILE_LIMIT)
    return _parse(path, content, passwords)


def _parse(path: Path, content: bytes, passwords: Iterable[bytes]) -> Credentials:
    blocks = _pem_blocks(content)
    if len(blocks) < _LEAST_BLOCKS:
        raise _damaged(path, f"it holds {len(blocks)} PEM blocks instead of {_LEAST_BLOCKS}")
    key_pem, rest = blocks[0], blocks[1:]
    if key_pem.startswith(_ENCRYPTED):
        key_pem = _decrypted(path, key_pem, passwords)
    try:
        credentials = Credentials(key_pem, *_certificate_and_roots(rest))
        matches = is_key_of(credentials.key_pem, credentials.certificate_pem)
        issued = is_issued_by(credentials.certificate_pem, credentials.ca_pem)
    except SwarmError as error:
        raise _damaged(path, str(error)) from error
    if not matches:
        raise _damaged(path, "the certificate in it is not for the key in it")
    if not issued:
        raise _damaged(path, "the certificate in it was not signed by the root in it")
    return credentials


def _certificate_and_roots(blocks: list[bytes]) -> tuple[bytes, bytes]:
    """A root signed itself, and what is in a chain did not."""
    mine: list[bytes] = blocks[:1]
    roots: list[bytes] = []
    for block in blocks[1:]:
        (certificate,) = certificates_in(block)
        (roots if is_signed(certificate, certificate) else mine).append(block)
    return b"".join(mine), b"".join(roots)


def _encrypted(credentials: Credentials, password: bytes) -> bytes:
    return load_key(credentials.key_pem).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


def _decrypted(path: Path, key_pem: bytes, passwords: Iterable[bytes]) -> bytes:
    for password in passwords:
        try:
            key = serialization.load_pem_private_key(key_pem, password)
        except ValueError:
            continue
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    raise SwarmError(
        Code.DENIED,
        f"the private key in {path} cannot be decrypted",
        why="the key file that it was encrypted with is not at hand, or one of the two was altered",
        remedy="restore both files, or remove them and join the swarm again",
    )


def _pem_blocks(content: bytes) -> list[bytes]:
    blocks: list[bytes] = []
    lines: list[bytes] = []
    for line in content.splitlines(keepends=True):
        lines.append(line)
        if line.startswith(b"-----END "):
            blocks.append(b"".join(lines))
            lines = []
    return blocks


def _tighten(path: Path, descriptor: int) -> None:
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
        logger.warning("%s could be read by others; only its owner may now", path)
        os.fchmod(descriptor, 0o600)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"the node's identity in {path} is damaged",
        why=why,
        remedy="restore the file, or remove it and join the swarm again",
    )


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    values = certificate.subject.get_attributes_for_oid(oid)
    if len(values) != 1 or not isinstance(values[0].value, str):
        raise unreadable("its subject is not that of a member of a swarm")
    return values[0].value
