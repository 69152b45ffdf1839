"""Machines sealed for a public key."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.errors import Code, SwarmError
from machine.moving import age


def made_key(folder: Path, name: str = "id_ed25519") -> str:
    """A key in OpenSSH's form, and its public half, which is returned."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(private)
    (folder / name).chmod(0o600)
    (folder / f"{name}.pub").write_bytes(public + b"\n")
    return public.decode()


@pytest.mark.root  # with the program
def test_a_file_for_a_colleague_and_for_oneself(tmp_path: Path) -> None:
    hers = made_key(tmp_path / "alice")
    made_key(tmp_path / "bob" / ".ssh")
    flags = age.recipients([f"{hers} alice@desk", str(tmp_path / "bob/.ssh/id_ed25519.pub")])
    data = asyncio.run(age.sealed(b"all machines", flags))
    assert data.startswith(age.MAGIC)
    assert b"all machines" not in data
    for own in (
        age.identities([tmp_path / "alice/id_ed25519"], tmp_path),
        age.identities([], tmp_path / "bob"),
    ):
        assert asyncio.run(age.opened(data, own)) == b"all machines"


@pytest.mark.root  # with the program
def test_somebody_elses_key(tmp_path: Path) -> None:
    data = asyncio.run(age.sealed(b"x", age.recipients([made_key(tmp_path / "a")])))
    made_key(tmp_path / "b")
    with pytest.raises(SwarmError) as refused:
        asyncio.run(age.opened(data, age.identities([tmp_path / "b/id_ed25519"], tmp_path)))
    assert refused.value.code is Code.DENIED
    assert refused.value.why == "no identity matched any of the recipients"


@pytest.mark.root  # with the program
def test_keys_of_a_kind_that_it_does_not_know(tmp_path: Path) -> None:
    public = generate_private_key(SECP256R1()).public_key()
    path = tmp_path / "keys"
    path.write_bytes(
        public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    with pytest.raises(SwarmError) as refused:
        asyncio.run(age.sealed(b"x", age.recipients([str(path)])))
    assert (refused.value.code, "passphrase" in refused.value.remedy) == (Code.INVALID, True)


@pytest.mark.parametrize("given", ["ecdsa-sha2-nistp256 AAAA", "/no/such/file", "-o", ""])
def test_what_is_no_public_key(given: str) -> None:
    with pytest.raises(SwarmError, match="no public key"):
        age.recipients([given])


def test_nobody_has_a_key(tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="--identity FILE"):
        age.identities([], tmp_path)


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SwarmError, match="apt-get install age") as refused:
        asyncio.run(age.sealed(b"x", age.recipients([made_key(tmp_path / "a")])))
    assert refused.value.code is Code.UNSUPPORTED
