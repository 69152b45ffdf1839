import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from api.certificates import (
    is_issued_by,
    is_key_of,
    is_signed_by,
    load_certificate,
    load_key,
    sign_with,
)
from api.errors import Code, SwarmError
from api.identity import (
    FILE_NAME,
    Credentials,
    Identity,
    Role,
    check_current,
    identity_of,
    load_credentials,
    make_csr,
    new_key,
    renewal_time,
    save_credentials,
    server_names,
)
from manager.ca.authority import cross_sign, new_root
from tests.support.trust import DAY, TrustedCluster

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def cluster() -> TrustedCluster:
    return TrustedCluster(NOW)


@pytest.mark.parametrize("role", ["worker", "manager", "operator"])
def test_a_certificate_says_who_its_owner_is(cluster: TrustedCluster, role: Role) -> None:
    credentials = cluster.credentials(role, "n1", expiry=DAY)
    der = load_certificate(credentials.certificate_pem).public_bytes(Encoding.DER)
    expected = Identity(role, "n1", cluster.id, credentials.identity.serial, NOW + DAY)
    assert credentials.identity == identity_of(der) == expected
    assert credentials.identity.serial > 0


@pytest.mark.parametrize(
    ("off", "valid"),
    [(-3601.0, False), (-3600.0, True), (0.0, True), (DAY - 1, True), (DAY, False)],
)
def test_a_new_certificate_is_valid_where_clocks_agree(
    cluster: TrustedCluster, off: float, valid: bool
) -> None:
    certificate = cluster.credentials("worker", "n1", expiry=DAY).certificate_pem
    if valid:
        check_current(certificate, NOW + off)
        return
    with pytest.raises(SwarmError) as caught:
        check_current(certificate, NOW + off)
    assert caught.value.code is Code.UNAVAILABLE
    assert "it is valid from 2027-01-15 07:00 UTC to 2027-01-16 08:00 UTC" in caught.value.why


def test_a_root_is_no_identity(cluster: TrustedCluster) -> None:
    with pytest.raises(SwarmError) as caught:
        identity_of(cluster.root.certificate_pem)
    assert caught.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize("junk", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x82junk"])
def test_junk_is_no_certificate(junk: bytes) -> None:
    with pytest.raises(SwarmError) as caught:
        identity_of(junk)
    assert caught.value.code is Code.UNAUTHENTICATED


def test_an_unknown_role_is_refused(cluster: TrustedCluster) -> None:
    admin: Role = "admin"  # type: ignore[assignment]
    with pytest.raises(SwarmError, match="unknown role 'admin'"):
        cluster.credentials(admin, "n1").identity  # noqa: B018


def test_only_managers_have_the_names_of_managers() -> None:
    assert server_names("manager", "n1") == ["n1", "swarm-manager", "swarm-ca"]
    assert server_names("worker", "n1") == server_names("operator", "n1") == ["n1"]


def test_the_key_is_not_in_the_repr(cluster: TrustedCluster) -> None:
    assert "PRIVATE KEY" in cluster.manager.key_pem.decode()
    assert "PRIVATE" not in repr(cluster.manager)


def test_a_request_names_nobody() -> None:
    assert not x509.load_pem_x509_csr(make_csr(new_key())).subject.rdns


def test_renewal_is_due_between_half_and_four_fifths_of_a_life(cluster: TrustedCluster) -> None:
    pem = cluster.credentials("worker", "n1", expiry=100 * DAY).certificate_pem
    due = [renewal_time(pem, chance) - NOW for chance in (0.0, 0.5, 1.0)]
    assert due == pytest.approx([50 * DAY, 65 * DAY, 80 * DAY])


def test_signatures_and_issuers_are_checked(cluster: TrustedCluster) -> None:
    mine, other = cluster.credentials("worker", "n1"), cluster.credentials("worker", "n2")
    stranger = TrustedCluster(NOW)
    signature = sign_with(mine.key_pem, b"data")
    assert is_signed_by(mine.certificate_pem, signature, b"data")
    assert not is_signed_by(mine.certificate_pem, signature, b"date")
    assert not is_signed_by(other.certificate_pem, signature, b"data")
    assert not is_signed_by(mine.certificate_pem, b"", b"data")
    assert is_issued_by(mine.certificate_pem, mine.ca_pem)
    assert not is_issued_by(mine.certificate_pem, stranger.root.certificate_pem)
    assert not is_issued_by(mine.certificate_pem, other.certificate_pem)
    assert is_key_of(mine.key_pem, mine.certificate_pem)
    assert not is_key_of(mine.key_pem, other.certificate_pem)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(), None]
)
def test_other_keys_are_refused(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None,
) -> None:
    pem = b"junk"
    if key is not None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(SwarmError) as caught:
        load_key(pem)
    assert caught.value.code is Code.INVALID


def test_credentials_are_kept_and_replaced(cluster: TrustedCluster, tmp_path: Path) -> None:
    directory = tmp_path / "state" / "certificates"
    assert load_credentials(directory) is None
    for credentials in (cluster.manager, cluster.credentials("worker", "n1")):
        save_credentials(directory, credentials)
        assert load_credentials(directory) == credentials
    assert os.listdir(directory) == [FILE_NAME]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / FILE_NAME).stat().st_mode) == 0o600


def test_an_encrypted_key_needs_its_password(cluster: TrustedCluster, tmp_path: Path) -> None:
    mine = cluster.manager
    save_credentials(tmp_path, mine, b"right")
    content = (tmp_path / FILE_NAME).read_bytes()
    assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert mine.key_pem.splitlines()[1] not in content
    assert load_credentials(tmp_path, [b"wrong", b"right"]) == mine
    for passwords in ((), (b"wrong",)):
        with pytest.raises(SwarmError, match="cannot be decrypted") as caught:
            load_credentials(tmp_path, passwords)
        assert caught.value.code is Code.DENIED


def test_a_key_in_clear_is_read_whatever_the_password(
    cluster: TrustedCluster, tmp_path: Path
) -> None:
    save_credentials(tmp_path, cluster.manager, b"right")
    save_credentials(tmp_path, cluster.manager)
    assert load_credentials(tmp_path, [b"right"]) == cluster.manager


def test_an_encrypted_key_of_another_certificate_is_damage(
    cluster: TrustedCluster, tmp_path: Path
) -> None:
    mine, other = cluster.manager, cluster.credentials("worker", "n1")
    save_credentials(tmp_path, Credentials(other.key_pem, mine.certificate_pem, mine.ca_pem), b"p")
    with pytest.raises(SwarmError, match="not for the key"):
        load_credentials(tmp_path, [b"p"])


def test_a_write_that_was_cut_off_does_no_harm(cluster: TrustedCluster, tmp_path: Path) -> None:
    save_credentials(tmp_path, cluster.manager)
    (tmp_path / f".{FILE_NAME}.new").write_bytes(b"half of a key")
    assert load_credentials(tmp_path) == cluster.manager
    renewed = cluster.credentials("manager", cluster.manager_id)
    save_credentials(tmp_path, renewed)
    assert load_credentials(tmp_path) == renewed


def test_a_link_in_place_of_the_file_is_not_followed(
    cluster: TrustedCluster, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    save_credentials(elsewhere, cluster.manager)
    (tmp_path / FILE_NAME).symlink_to(elsewhere / FILE_NAME)
    with pytest.raises(OSError, match="symbolic links"):
        load_credentials(tmp_path)


def test_a_key_that_others_could_read_is_closed_to_them(
    cluster: TrustedCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_credentials(tmp_path, cluster.manager)
    (tmp_path / FILE_NAME).chmod(0o644)
    assert load_credentials(tmp_path) == cluster.manager
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert "could be read by others" in caplog.text


def test_a_chain_and_several_roots_are_kept_apart(cluster: TrustedCluster, tmp_path: Path) -> None:
    new = new_root(cluster.id, cluster.now)
    cross = cross_sign(cluster.root, new.certificate_pem, cluster.now)
    mine = cluster.manager
    kept = Credentials(
        mine.key_pem, mine.certificate_pem + cross, new.certificate_pem + mine.ca_pem
    )
    save_credentials(tmp_path, kept)
    assert load_credentials(tmp_path) == kept


def damaged(cluster: TrustedCluster) -> dict[str, bytes]:
    mine, other = cluster.manager, cluster.credentials("worker", "n1")
    root = TrustedCluster(NOW).root.certificate_pem
    return {
        "0 PEM blocks": b"",
        "2 PEM blocks": mine.key_pem + mine.certificate_pem,
        "not for the key": other.key_pem + mine.certificate_pem + mine.ca_pem,
        "not signed by the root": mine.key_pem + mine.certificate_pem + root,
        "cannot be read": mine.certificate_pem + mine.key_pem + mine.ca_pem,
    }


@pytest.mark.parametrize("why", list(damaged(TrustedCluster(NOW))))
def test_a_damaged_file_is_refused(cluster: TrustedCluster, tmp_path: Path, why: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(damaged(cluster)[why])
    with pytest.raises(SwarmError) as caught:
        load_credentials(tmp_path)
    assert caught.value.code is Code.REFUSED
    assert why in caught.value.why
    assert "join the swarm again" in caught.value.remedy


def test_credentials_compare_by_content(cluster: TrustedCluster) -> None:
    mine = cluster.manager
    assert mine == Credentials(mine.key_pem, mine.certificate_pem, mine.ca_pem)
