import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from api.certificates import is_issued_by, load_certificate
from api.errors import Code, SwarmError
from api.identity import Role, make_csr, new_key
from api.times import duration
from api.v1 import specs_pb2
from manager.ca.authority import new_root, node_expiry, public_key_of, sign

NOW = 1_800_000_000.5
HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
ROOT = new_root("c1", NOW)


def issue(role: Role, expiry: float = DAY, now: float = NOW) -> x509.Certificate:
    csr = make_csr(new_key())
    pem = sign(ROOT, csr, node_id="n1", role=role, cluster_id="c1", now=now, expiry=expiry)
    return load_certificate(pem)


def lifetime(certificate: x509.Certificate) -> tuple[float, float]:
    return (
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def test_the_root_signs_itself_for_twenty_years_and_may_sign_the_next_one() -> None:
    root = load_certificate(ROOT.certificate_pem)
    assert is_issued_by(ROOT.certificate_pem, ROOT.certificate_pem)
    assert lifetime(root) == (int(NOW) - HOUR, int(NOW) + 20 * YEAR)
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, None)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert (ROOT.worker_token, ROOT.manager_token) == ("", "")


@pytest.mark.parametrize(
    ("role", "usages", "names"),
    [
        ("worker", {Usage.CLIENT_AUTH}, ["n1"]),
        ("operator", {Usage.CLIENT_AUTH}, ["n1"]),
        (
            "manager",
            {Usage.CLIENT_AUTH, Usage.SERVER_AUTH},
            ["n1", "swarm-manager", "swarm-ca"],
        ),
    ],
)
def test_a_certificate_is_good_for_its_role_only(
    role: Role, usages: set[x509.ObjectIdentifier], names: list[str]
) -> None:
    certificate = issue(role)
    find = certificate.extensions.get_extension_for_class
    assert set(find(x509.ExtendedKeyUsage).value) == usages
    assert find(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == names
    assert not find(x509.BasicConstraints).value.ca
    assert find(x509.KeyUsage).value.digital_signature
    assert not find(x509.KeyUsage).value.key_cert_sign
    assert certificate.subject.rfc4514_string() == f"CN=n1,OU={role},O=c1"


def test_a_certificate_begins_an_hour_early_and_ends_with_the_root_at_the_latest() -> None:
    assert lifetime(issue("worker")) == (int(NOW) - HOUR, int(NOW) + DAY)
    assert lifetime(issue("worker", expiry=30 * YEAR))[1] == int(NOW) + 20 * YEAR


def test_serials_differ() -> None:
    assert issue("worker").serial_number != issue("worker").serial_number


def test_only_the_key_of_a_request_is_used() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    boast = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "manager")])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(boast)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = request.public_bytes(Encoding.PEM)
    made = load_certificate(
        sign(ROOT, pem, node_id="n1", role="worker", cluster_id="c1", now=NOW, expiry=DAY)
    )
    assert made.public_key() == key.public_key()
    assert made.subject.rfc4514_string() == "CN=n1,OU=worker,O=c1"
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def request_with(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def signature_of_another() -> bytes:
    """A request whose last bytes, of the signature, come from another one."""
    mine, other = (x509.load_pem_x509_csr(make_csr(new_key())) for _ in range(2))
    der = mine.public_bytes(Encoding.DER).replace(mine.signature, other.signature)
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("csr", "why"),
    [
        (b"", "no PKCS #10"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "no PKCS #10"),
        (ROOT.certificate_pem, "no PKCS #10"),
        (make_csr(new_key()) + bytes(8 << 10), "more than 8192 bytes"),
        (request_with(ec.generate_private_key(ec.SECP384R1())), "curve P-256"),
        (request_with(rsa.generate_private_key(65537, 2048)), "curve P-256"),
    ],
)
def test_other_requests_are_refused(csr: bytes, why: str) -> None:
    with pytest.raises(SwarmError) as caught:
        public_key_of(csr)
    assert (caught.value.code, caught.value.field) == (Code.INVALID, "csr_pem")
    assert why in caught.value.why


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    for _ in range(20):  # signatures differ in length, and only equal ones can be exchanged
        try:
            forged = signature_of_another()
        except ValueError:
            continue
        with pytest.raises(SwarmError, match="signature does not match"):
            public_key_of(forged)
        return
    pytest.fail("no forged request came about")


def test_nodes_get_ninety_days_unless_the_cluster_says_otherwise() -> None:
    assert node_expiry(specs_pb2.ClusterSpec()) == 90 * DAY
    assert node_expiry(specs_pb2.ClusterSpec(node_cert_expiry=duration(7200))) == 7200
