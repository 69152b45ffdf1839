"""The encrypted file: opened by its passphrase, and by nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from machine.moving.cargo import decoded
from machine.moving.sealed import opened, sealed

SALT, NONCE = b"s" * 16, b"n" * 12
FILE = sealed(b"machines", "open", SALT, NONCE)


def test_what_is_sealed_is_opened() -> None:
    assert opened(FILE, "open") == b"machines"
    assert b"machines" not in FILE


@pytest.mark.parametrize(
    ("data", "passphrase", "code"),
    [
        (FILE, "Open", Code.DENIED),
        (FILE[:-1], "open", Code.DENIED),
        (FILE + b"x", "open", Code.DENIED),
        (FILE.replace(b"ssss", b"sstt"), "open", Code.DENIED),
        (FILE[:20], "open", Code.REFUSED),
        (b"", "open", Code.REFUSED),
        (b"SWARMBAK" + FILE[8:], "open", Code.REFUSED),
        (FILE[:8] + b"\x00\x02" + FILE[10:], "open", Code.UNSUPPORTED),
        (FILE, "", Code.INVALID),
    ],
)
def test_what_is_not(data: bytes, passphrase: str, code: Code) -> None:
    with pytest.raises(SwarmError) as caught:
        opened(data, passphrase)
    assert caught.value.code is code


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_whatever_was_sealed_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(SwarmError):
        decoded(content)


def test_nothing_is_nested_so_deep() -> None:
    with pytest.raises(SwarmError, match="cannot be read"):
        decoded(b"[" * 100_000)


def test_a_later_form_is_refused() -> None:
    with pytest.raises(SwarmError, match="newer swarmctl"):
        decoded(b'{"form": 2}')
