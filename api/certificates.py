"""Keys and certificates as cryptography sees them: read, compare, sign, verify. Pure.

Only P-256 with SHA-256 is spoken here. Who may have a certificate is decided in manager/ca.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.errors import Code, SwarmError

_SIGNATURE = ec.ECDSA(hashes.SHA256())


def load_certificate(certificate: bytes) -> x509.Certificate:
    """The parsed certificate, PEM or DER; UNAUTHENTICATED if it is none."""
    try:
        if certificate.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(certificate)
        return x509.load_der_x509_certificate(certificate)
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


def is_issued_by(certificate: bytes, ca_pem: bytes) -> bool:
    """Whether this root signed the certificate; dates are ignored."""
    try:
        load_certificate(certificate).verify_directly_issued_by(load_certificate(ca_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


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
