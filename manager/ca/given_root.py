"""A root that an operator made himself: whether the cluster can live under it. Pure."""

from datetime import UTC, datetime

from cryptography import x509

from api.certificates import (
    certificates_in,
    digest_of,
    is_key_of,
    is_p256,
    is_signed,
    load_certificate,
    load_key,
)
from api.errors import Code, SwarmError, invalid
from api.v1 import objects_pb2
from manager.ca.roots import former, trusted

_FIELD = "certificate_pem"
_LIMIT = 16 << 10
_SHOWN = "%Y-%m-%d %H:%M UTC"


def given_root(
    certificate_pem: bytes,
    key_pem: bytes,
    present: objects_pb2.RootCa,
    *,
    now: float,
    expiry: float,
) -> objects_pb2.RootCa:
    """The root, certificate and key, in a form of our own.

    INVALID with the reason unless it is one P-256 certificate that signed itself, may sign others,
    is valid for `expiry` seconds from `now` at least, and comes with its key. REFUSED if the
    cluster has had it already, or `present` cannot vouch for it.
    """
    root = _parsed(certificate_pem)
    _check_powers(root)
    _check_dates(root, now, expiry)
    if not key_pem or not is_key_of(key_pem, certificate_pem):
        raise invalid(
            "key_pem",
            "the key is not that of the root certificate" if key_pem else "a key is needed",
            why="the swarm signs with it",
            remedy="give both --ca-cert and --ca-key, of one root",
        )
    load_key(key_pem)
    known = certificates_in(trusted(present)) + certificates_in(former(present))
    if digest_of(root) in {digest_of(each) for each in known}:
        raise _refused("the swarm has, or had, this very root", "give another one, or none")
    mine = load_certificate(present.certificate_pem)
    if _path_length(mine) == 0 and mine.subject != root.subject:
        raise _refused(
            "the present root may not vouch for one of another name: it was made so",
            "rotate without --ca-cert first, then again",
        )
    return objects_pb2.RootCa(certificate_pem=certificate_pem.strip() + b"\n", key_pem=key_pem)


def _parsed(certificate_pem: bytes) -> x509.Certificate:
    if len(certificate_pem) > _LIMIT:
        raise _bad(f"it has more than {_LIMIT} bytes")
    try:
        found = certificates_in(certificate_pem)
    except SwarmError as error:
        raise _bad(error.why or str(error)) from error
    if len(found) != 1:
        raise _bad(f"it holds {len(found)} certificates instead of one")
    return found[0]


def _check_powers(root: x509.Certificate) -> None:
    if not is_p256(root.public_key()):
        raise _bad("its key is not of the curve P-256")
    if not is_signed(root, root):
        raise _bad("it did not sign itself: it is no root")
    try:
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise _bad("it has no basic constraints: it is no authority") from None
    if not constraints.ca:
        raise _bad("it is no authority (CA:FALSE)")
    if constraints.path_length == 0:
        raise _bad("it may not vouch for the root that will take its place (pathlen:0)")
    try:
        usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise _bad("its key usage does not let it sign certificates")


def _check_dates(root: x509.Certificate, now: float, expiry: float) -> None:
    start, end = root.not_valid_before_utc, root.not_valid_after_utc
    if start.timestamp() <= now and end.timestamp() >= now + expiry:
        return
    here = datetime.fromtimestamp(now, UTC)
    raise _bad(
        f"it is valid from {start:{_SHOWN}} to {end:{_SHOWN}}, and here it is {here:{_SHOWN}}: "
        "it has to outlive the certificates that it signs"
    )


def _path_length(root: x509.Certificate) -> int | None:
    return root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length


def _bad(why: str) -> SwarmError:
    return invalid(
        _FIELD,
        "the root certificate cannot be that of a swarm",
        why=why,
        remedy="make another one, or leave out --ca-cert and let the swarm make it",
    )


def _refused(why: str, remedy: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED, "the root certificate is not taken over", why=why, remedy=remedy
    )
