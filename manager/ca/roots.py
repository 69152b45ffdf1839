"""Which roots a cluster has: the one that signs, those that are trusted, those that were. Pure.

There are two at once while one takes the place of another (manager/ca/rotation.py). A root that was
trusted before has signed the one that took its place, so that a certificate with this chain behind
it is believed by whoever was away meanwhile.
"""

from collections.abc import Iterator
from typing import NamedTuple

from api.certificates import issuer_of
from api.v1 import objects_pb2


class Signer(NamedTuple):
    """What certificates are signed with, and the chain (PEM) that goes behind each."""

    certificate_pem: bytes
    key_pem: bytes
    chain_pem: bytes


def signer(root: objects_pb2.RootCa) -> Signer:
    """The root that signs now: the new one from the moment on that a rotation begins."""
    chain = [former.cross_pem for former in root.former if former.cross_pem]
    if not root.HasField("rotation"):
        return Signer(root.certificate_pem, root.key_pem, b"".join(chain))
    new = root.rotation
    return Signer(new.certificate_pem, new.key_pem, b"".join([new.cross_pem, *chain]))


def trusted(root: objects_pb2.RootCa) -> bytes:
    """Every root (PEM) that is trusted now, the one that signs first."""
    return b"".join(_trusted(root))


def former(root: objects_pb2.RootCa) -> bytes:
    """The roots (PEM) that are trusted no more, the latest first."""
    return b"".join(each.certificate_pem for each in root.former)


def is_trusted(root: objects_pb2.RootCa, certificate: bytes) -> bool:
    """Whether a root that is trusted now signed the certificate itself; dates are ignored."""
    return issuer_of(certificate, trusted(root)) is not None


def was_trusted(root: objects_pb2.RootCa, certificate: bytes) -> bool:
    """Whether a root that is trusted no more signed the certificate; dates are ignored."""
    return issuer_of(certificate, former(root)) is not None


def _trusted(root: objects_pb2.RootCa) -> Iterator[bytes]:
    if root.HasField("rotation"):
        yield root.rotation.certificate_pem
    yield root.certificate_pem
    yield from root.rotation.broken_off
