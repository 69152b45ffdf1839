"""An operator's own certificate authority: it vouches for people to hosts and for hosts to people,
as long as no swarm does.

Signs, and reads no clock; where its key is kept is the affair of operator_ca.py. A client
certificate has the form of a swarm's operator (api.identity): the person's name is its id.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from api.certificates import key_usage, load_certificate, load_key
from api.errors import invalid
from api.host_api import ORGANIZATION
from api.identity import BACKDATE, Credentials, new_key, subject_of

YEAR = 365 * 86400.0
AUTHORITY_EXPIRY = 20 * YEAR
SERVER_EXPIRY = 2 * YEAR
CLIENT_EXPIRY = YEAR
_PERSON_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """Its certificate, and its private key, which its repr hides."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def new_authority(now: float) -> Authority:
    """A fresh one, for 20 years from `now`."""
    key_pem = new_key()
    key = load_key(key_pem)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, "authority"),
        ]
    )
    certificate = (
        _builder(name, name, key, now, now + AUTHORITY_EXPIRY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(serialization.Encoding.PEM), key_pem)


def client_certificate(authority: Authority, person: str, now: float) -> Credentials:
    """A key and a certificate with which `person` is let in, for a year; INVALID for a bad name."""
    if (
        not 0 < len(person) <= _PERSON_LENGTH
        or not person.isprintable()
        or person.strip() != person
    ):
        raise invalid(
            "person",
            f"{person!r} is no name for a person",
            why=f"it takes 1 to {_PERSON_LENGTH} printable characters",
        )
    subject = subject_of("operator", person, ORGANIZATION)
    return _issued(
        authority, subject, [], ExtendedKeyUsageOID.CLIENT_AUTH, now, now + CLIENT_EXPIRY
    )


def server_certificate(authority: Authority, names: Sequence[str], now: float) -> Credentials:
    """A key and a certificate for the API of a host that is called by these addresses and names."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "host"),
        ]
    )
    general = [_general_name(each) for each in names]
    return _issued(
        authority, subject, general, ExtendedKeyUsageOID.SERVER_AUTH, now, now + SERVER_EXPIRY
    )


def revocation_list(
    authority: Authority, revoked: Iterable[tuple[int, float]], now: float
) -> bytes:
    """The list (PEM) of certificates that are worth nothing any more: serial, and since when."""
    issuer = load_certificate(authority.certificate_pem)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(_date(now - BACKDATE))
        # It is sent to the hosts when it changes, and good until then.
        .next_update(issuer.not_valid_after_utc)
    )
    for serial, since in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(_date(since))
            .build()
        )
    signed = builder.sign(load_key(authority.key_pem), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def names_in(certificate_pem: bytes) -> frozenset[str]:
    """The addresses and names that a certificate is for."""
    try:
        names = load_certificate(certificate_pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(each.value) for each in names.value)


def expiry_of(certificate_pem: bytes) -> float:
    """When a certificate ends, in seconds since 1970."""
    return load_certificate(certificate_pem).not_valid_after_utc.timestamp()


def _issued(
    authority: Authority,
    subject: x509.Name,
    names: Sequence[x509.GeneralName],
    usage: ObjectIdentifier,
    now: float,
    end: float,
) -> Credentials:
    key_pem = new_key()
    issuer = load_certificate(authority.certificate_pem)
    builder = (
        _builder(
            subject,
            issuer.subject,
            load_key(key_pem),
            now,
            min(end, issuer.not_valid_after_utc.timestamp()),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            # By this, TLS tells the authority from another one of the same name.
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(load_key(authority.key_pem), hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Credentials(key_pem, pem, authority.certificate_pem)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: float,
    end: float,
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(now - BACKDATE))
        .not_valid_after(_date(end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
