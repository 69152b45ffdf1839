"""Machines sealed for a public key, by `age` where it is installed, else by a program in its place.

That one seals nothing; it takes the same flags, and refuses in the same words (age 1.1.1).
"""

import asyncio
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.errors import Code, SwarmError
from machine.moving import age

PROGRAM = """#!/usr/bin/python3
import base64, os, sys
from pathlib import Path
verb, words = sys.argv[1], sys.argv[2:]
flags = list(zip(words[::2], words[1::2]))
head = b"age-encryption.org/v1\\n"
def fail(why):
    sys.exit(f"age: error: {why}\\nage: report unexpected or unhelpful errors at https://x")
data = sys.stdin.buffer.read()
if verb == "--encrypt":
    keys = [v if k == "-r" else Path(v).read_text() for k, v in flags]
    lines = [line for key in keys for line in key.splitlines()]
    if any(line.startswith("ecdsa") for line in lines):
        fail("unknown recipient type")
    named = "\\n".join(" ".join(line.split()[:2]) for line in lines)
    sys.stdout.buffer.write(head + base64.b64encode(named.encode()) + b"\\n" + data[::-1])
else:
    named, body = data.removeprefix(head).split(b"\\n", 1)
    publics = [Path(v + ".pub").read_text().strip() for k, v in flags if k == "-i"]
    if not any(key in base64.b64decode(named).decode().splitlines() for key in publics):
        fail("no identity matched any of the recipients")
    sys.stdout.buffer.write(body[::-1])
"""


@pytest.fixture(autouse=True)
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one comes first."""
    folder = tmp_path / "in-its-place"
    folder.mkdir()
    (folder / "age").write_text(PROGRAM)
    (folder / "age").chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{folder}")


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


def test_somebody_elses_key(tmp_path: Path) -> None:
    data = asyncio.run(age.sealed(b"x", age.recipients([made_key(tmp_path / "a")])))
    made_key(tmp_path / "b")
    with pytest.raises(SwarmError) as refused:
        asyncio.run(age.opened(data, age.identities([tmp_path / "b/id_ed25519"], tmp_path)))
    assert refused.value.code is Code.DENIED
    assert refused.value.why == "no identity matched any of the recipients"


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
