"""Keys and certificates as cryptography sees them: read, compare, sign, verify. Pure.

Only P-256 with SHA-256 is spoken here. Who may have a certificate is decided in manager/ca.
"""

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.errors import Code, SwarmError

_SIGNATURE = ec.ECDSA(hashes.SHA256())
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def load_certificate(certificate: bytes) -> x509.Certificate:
    """The parsed certificate, PEM or DER, of several the first; UNAUTHENTICATED if it is none."""
    try:
        if certificate.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(certificate)
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise unreadable(str(error)) from error


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """All certificates of a PEM text, in their order; UNAUTHENTICATED if one cannot be read."""
    if not pem.strip():
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise unreadable(str(error)) from error


def load_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The parsed private key; INVALID if it is no P-256 key."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise SwarmError(Code.INVALID, "the private key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_p256(key.public_key()):
        raise SwarmError(Code.INVALID, "the private key is no P-256 key")
    return key


def is_p256(key: object) -> bool:
    """Whether this public key is of the one kind that certificates are made for."""
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def issuer_of(certificate: bytes, ca_pem: bytes) -> x509.Certificate | None:
    """Which of these roots signed the certificate itself, if any did; dates are ignored."""
    signed = load_certificate(certificate)
    return next((root for root in certificates_in(ca_pem) if is_signed(signed, root)), None)


def is_issued_by(certificate: bytes, ca_pem: bytes) -> bool:
    """Whether one of these roots signed the certificate itself; dates are ignored."""
    return issuer_of(certificate, ca_pem) is not None


def is_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether this issuer signed the certificate; of itself it is true of a root."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def digest_of(certificate: x509.Certificate) -> bytes:
    """What tells a certificate from every other: the SHA-256 of its DER."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def key_digest(key: ec.EllipticCurvePublicKey) -> bytes:
    """What tells a public key from every other: the SHA-256 of its SubjectPublicKeyInfo."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).digest()


def key_digest_of(certificate: bytes) -> bytes:
    """The digest of the key that the certificate is for; empty if that is no P-256 key."""
    key = load_certificate(certificate).public_key()
    return key_digest(key) if isinstance(key, ec.EllipticCurvePublicKey) else b""


def is_key_of(key_pem: bytes, certificate: bytes) -> bool:
    """Whether the certificate is for this private key."""
    return load_key(key_pem).public_key() == load_certificate(certificate).public_key()


def sign_with(key_pem: bytes, data: bytes) -> bytes:
    """A signature over `data`, ECDSA with SHA-256."""
    return load_key(key_pem).sign(data, _SIGNATURE)


def is_signed_by(certificate: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of the certificate's key signed `data`."""
    key = load_certificate(certificate).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, data, _SIGNATURE)
    except InvalidSignature:
        return False
    return True


def unreadable(why: str) -> SwarmError:
    """The refusal of a certificate that is none of ours."""
    return SwarmError(Code.UNAUTHENTICATED, "the certificate is not valid", why=why)


def key_usage(*usages: str) -> x509.KeyUsage:
    """What a key may be used for (RFC 5280, 4.2.1.3), by cryptography's names; nothing else."""
    return x509.KeyUsage(**{usage: usage in usages for usage in _USAGES})
