"""Which registries may be spoken to in plain HTTP, and which certificates are believed."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.errors import SwarmError
from runtime.image.endpoint import RegistryOptions, resolve
from tests.support.tls_handshake import shake

LISTED = ("plain.lab", "port.lab:5000", "10.1.0.0/16", "fd00::/8")

CASES = [
    ("docker.io", "registry-1.docker.io", False),
    ("quay.io", "quay.io", False),
    ("localhost", "localhost", True),
    ("localhost:5000", "localhost:5000", True),
    ("127.0.0.1:5000", "127.0.0.1:5000", True),
    ("127.9.9.9", "127.9.9.9", True),
    ("[::1]:5000", "[::1]:5000", True),
    ("128.0.0.1", "128.0.0.1", False),
    ("localhost.evil.io", "localhost.evil.io", False),
    ("127.0.0.1.evil.io", "127.0.0.1.evil.io", False),
    ("plain.lab", "plain.lab", True),
    ("plain.lab:99", "plain.lab:99", True),
    ("port.lab:5000", "port.lab:5000", True),
    ("port.lab:5001", "port.lab:5001", False),
    ("port.lab", "port.lab", False),
    ("10.1.2.3:5000", "10.1.2.3:5000", True),
    ("10.2.2.3:5000", "10.2.2.3:5000", False),
    ("[fd00::7]:5000", "[fd00::7]:5000", True),
]


@pytest.mark.parametrize(("domain", "host", "plain"), CASES)
def test_plain_http_only_where_allowed(domain: str, host: str, plain: bool) -> None:
    endpoint = resolve(domain, RegistryOptions(insecure=LISTED))
    assert endpoint.host == host
    assert endpoint.schemes == (("https", "http") if plain else ("https",))


@pytest.mark.parametrize("key", ["127.0.0.1:5000", "127.0.0.1"])
def test_an_own_ca_means_tls(key: str) -> None:
    endpoint = resolve("127.0.0.1:5000", RegistryOptions(ca_files={key: Path("/ca.pem")}))
    assert endpoint.schemes == ("https",)
    assert endpoint.ca_file == Path("/ca.pem")


def test_an_unreadable_ca_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    options = RegistryOptions(ca_files={"r.io": tmp_path / "ca.pem"})
    with pytest.raises(SwarmError, match="the CA of registry"):
        resolve("r.io", options).tls()


Issuer = tuple[str, ec.EllipticCurvePrivateKey]


def plain_certificate(folder: Path, issuer: Issuer | None = None) -> Issuer:
    """A certificate of 127.0.0.1, or the CA of one, with none of the identifiers of RFC 5280."""
    name = "registry" if issuer else "ca"
    key = ec.generate_private_key(ec.SECP256R1())
    signer, signing = issuer or (name, key)
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(f"CN={name}"))
        .issuer_name(x509.Name.from_rfc4514_string(f"CN={signer}"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            alternative if issuer else x509.BasicConstraints(ca=True, path_length=None), False
        )
        .sign(signing, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(encoding))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return name, key


@pytest.mark.parametrize("trusted", ["ca.pem", "registry.pem"])
def test_certificates_of_a_simple_ca_are_believed_under_every_python(
    tmp_path: Path, trusted: str
) -> None:
    plain_certificate(tmp_path, plain_certificate(tmp_path))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "registry.pem", tmp_path / "registry.key")
    options = RegistryOptions(ca_files={"127.0.0.1": tmp_path / trusted})
    shake(resolve("127.0.0.1:5000", options).tls(), server, "127.0.0.1")


def test_certificates_of_others_are_not(tmp_path: Path) -> None:
    plain_certificate(tmp_path, plain_certificate(tmp_path))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "registry.pem", tmp_path / "registry.key")
    plain_certificate(tmp_path)  # another CA of that name
    options = RegistryOptions(ca_files={"127.0.0.1": tmp_path / "ca.pem"})
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(resolve("127.0.0.1:5000", options).tls(), server, "127.0.0.1")
