"""The cluster's certificate authority: makes roots and signs what it is told to sign.

Decides nothing about who may have a certificate, and reads no clock. Keys, serials and signatures
are random, as cryptography wants them; everything else follows from the arguments.
"""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from api.certificates import is_p256, key_usage, load_certificate, load_key
from api.errors import SwarmError, invalid
from api.identity import BACKDATE, CA_NAME, Role, new_key, server_names, subject_of
from api.times import seconds_of
from api.v1 import objects_pb2, specs_pb2
from manager.ca.roots import signer

YEAR = 365 * 86400.0
ROOT_EXPIRY = 20 * YEAR
NODE_EXPIRY = 90 * 86400.0
"""What Swarm gives a node's certificate: 2160 h."""
OPERATOR_EXPIRY = YEAR
_CSR_LIMIT = 8 << 10


def new_root(cluster_id: str, now: float) -> objects_pb2.RootCa:
    """A fresh root, certificate and key, for 20 years from `now`; tokens are left empty."""
    key_pem = new_key()
    key = load_key(key_pem)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
            x509.NameAttribute(NameOID.COMMON_NAME, CA_NAME),
        ]
    )
    certificate = (
        _builder(name, name, key.public_key(), now, now + ROOT_EXPIRY)
        # No limit to the length of a path: a root vouches for the one that takes its place.
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )
    return objects_pb2.RootCa(certificate_pem=_pem(certificate), key_pem=key_pem)


def cross_sign(root: objects_pb2.RootCa, new_pem: bytes, now: float) -> bytes:
    """The new root (PEM) once more, signed by the present one; it outlives neither of them."""
    new, old = load_certificate(new_pem), load_certificate(root.certificate_pem)
    ends = (each.not_valid_after_utc.timestamp() for each in (new, old))
    key = new.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise invalid("certificate_pem", "the key of the root is not of the curve P-256")
    certificate = (
        _builder(new.subject, old.subject, key, now, min(ends), key_id=_key_id(new))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(_issued_by(old), critical=False)
        .sign(load_key(root.key_pem), hashes.SHA256())
    )
    return _pem(certificate)


def sign(
    root: objects_pb2.RootCa,
    csr_pem: bytes,
    *,
    node_id: str,
    role: Role,
    cluster_id: str,
    now: float,
    expiry: float,
) -> bytes:
    """A certificate (PEM) for the key in the request, valid for `expiry` seconds from `now`; behind
    it what leads from it to former roots.

    Of the request only the public key is used. INVALID (field `csr_pem`) unless it is a P-256 key
    whose owner signed the request. `node_id` is the operator's id for role operator. A certificate
    begins an hour early and never outlives the root.
    """
    public_key = public_key_of(csr_pem)
    signing = signer(root)
    issuer = load_certificate(signing.certificate_pem)
    end = min(now + expiry, issuer.not_valid_after_utc.timestamp())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if role == "manager":
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names = [x509.DNSName(name) for name in server_names(role, node_id)]
    subject = subject_of(role, node_id, cluster_id)
    certificate = (
        _builder(subject, issuer.subject, public_key, now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_issued_by(issuer), critical=False)
        .sign(load_key(signing.key_pem), hashes.SHA256())
    )
    return _pem(certificate) + signing.chain_pem


def public_key_of(csr_pem: bytes) -> ec.EllipticCurvePublicKey:
    """The public key in a signing request; INVALID (field `csr_pem`) if it is not acceptable."""
    if len(csr_pem) > _CSR_LIMIT:
        raise _bad_request(f"it has more than {_CSR_LIMIT} bytes")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        signed, key = request.is_signature_valid, request.public_key()
    except ValueError as error:
        raise _bad_request("it is no PKCS #10 request in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not is_p256(key):
        raise _bad_request("its key is not of the curve P-256")
    if not signed:
        raise _bad_request("its signature does not match its key")
    return key


def node_expiry(spec: specs_pb2.ClusterSpec) -> float:
    """Seconds that the certificates of nodes live in this cluster."""
    return seconds_of(spec.node_cert_expiry) or NODE_EXPIRY


def root_der(root: objects_pb2.RootCa) -> bytes:
    """The root certificate in the form whose digest is in join tokens."""
    return load_certificate(root.certificate_pem).public_bytes(serialization.Encoding.DER)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: float,
    end: float,
    *,
    key_id: x509.SubjectKeyIdentifier | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(now - BACKDATE), UTC))
        .not_valid_after(datetime.fromtimestamp(int(end), UTC))
        .add_extension(key_id or x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_id(root: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """As the root calls its key; by this, TLS tells it from another root of the same name."""
    try:
        return root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = root.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - of every root that signs
        return x509.SubjectKeyIdentifier.from_public_key(key)


def _issued_by(root: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(root))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _bad_request(why: str) -> SwarmError:
    return invalid("csr_pem", "the signing request is not acceptable", why=why)
