"""Roots that operators made themselves: taken over, or refused with the reason."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.certificates import is_issued_by, load_key
from api.errors import Code, SwarmError
from api.identity import make_csr, new_key
from api.v1 import objects_pb2
from manager.ca.authority import new_root, sign
from manager.ca.given_root import given_root
from manager.ca.rotation import begin

NOW = 1_700_000_000.0
DAY = 86400.0
PRESENT = new_root("c", NOW)
KEY = new_key()


def made(
    *,
    name: str = "Our own root",
    key_pem: bytes = KEY,
    signer_pem: bytes = KEY,
    ca: bool | None = True,
    path_length: int | None = None,
    signs: bool = True,
    days: int = 3650,
    begins: float = NOW,
    key_id: bool = True,
) -> bytes:
    """A root as openssl might make it, or one with something wrong."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = load_key(key_pem).public_key()
    start = datetime.fromtimestamp(begins, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key)
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if key_id:
        # Not what we would make of the key: TLS goes by what the root says.
        builder = builder.add_extension(x509.SubjectKeyIdentifier(b"our own name for it"), False)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = builder.add_extension(
        x509.KeyUsage(key_cert_sign=signs, crl_sign=True, **usage), critical=True
    )
    signed = builder.sign(load_key(signer_pem), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def taken(certificate_pem: bytes, key_pem: bytes = KEY) -> objects_pb2.RootCa:
    return given_root(certificate_pem, key_pem, PRESENT, now=NOW, expiry=90 * DAY)


@pytest.mark.parametrize("key_id", [True, False])
def test_a_root_of_ones_own_takes_over(key_id: bool) -> None:
    root = taken(made(key_id=key_id))
    cluster = objects_pb2.Cluster(id="c", root_ca=PRESENT)
    under_way = begin(cluster, root, rotation_id="r", now=NOW).root_ca
    leaf = sign(
        under_way,
        make_csr(new_key()),
        node_id="n",
        role="worker",
        cluster_id="c",
        now=NOW,
        expiry=DAY,
    )
    assert is_issued_by(leaf, root.certificate_pem)
    mine, cross = x509.load_pem_x509_certificates(leaf)
    identifier = mine.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = cross.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert identifier.key_identifier == own.digest


def rsa_like() -> bytes:
    """A root whose key is of another curve."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    start = datetime.fromtimestamp(NOW, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=900))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


WRONG = {
    "holds 0 certificates": b"",
    "holds 2 certificates": made() + made(),
    "more than": b"x" * 20_000,
    "did not sign itself": made(signer_pem=new_key()),
    "no basic constraints": made(ca=None),
    "CA:FALSE": made(ca=False),
    "pathlen:0": made(path_length=0),
    "does not let it sign": made(signs=False),
    "has to outlive": made(days=30),
    "it is valid from": made(begins=NOW + DAY),
    "not of the curve P-256": rsa_like(),
}


@pytest.mark.parametrize("why", WRONG)
def test_what_cannot_be_a_root_is_refused_with_the_reason(why: str) -> None:
    with pytest.raises(SwarmError) as refused:
        taken(WRONG[why])
    assert (refused.value.code, refused.value.field) == (Code.INVALID, "certificate_pem")
    assert why in refused.value.why


@pytest.mark.parametrize(
    ("key_pem", "what"),
    [(b"", "a key is needed"), (new_key(), "is not that of"), (b"junk", "cannot be read")],
)
def test_the_key_has_to_be_that_of_the_root(key_pem: bytes, what: str) -> None:
    with pytest.raises(SwarmError, match=what) as refused:
        taken(made(), key_pem)
    assert refused.value.code is Code.INVALID


def test_the_present_root_cannot_take_its_own_place() -> None:
    with pytest.raises(SwarmError, match="this very root"):
        taken(PRESENT.certificate_pem, PRESENT.key_pem)


def test_a_root_that_may_vouch_for_its_own_name_alone_is_not_left_behind_for_another() -> None:
    narrow = objects_pb2.RootCa(certificate_pem=made(name="narrow", path_length=0), key_pem=KEY)
    with pytest.raises(SwarmError, match="of another name"):
        given_root(made(key_pem=KEY), KEY, narrow, now=NOW, expiry=DAY)
