import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.token import JoinToken, new_token, parse_token

ROOT = b"a root certificate in DER"
TOKEN = str(new_token(ROOT, bytes(range(16))))
DIGEST, SECRET = TOKEN.split("-")[2:]


def test_a_token_has_the_form_of_swarms() -> None:
    assert re.fullmatch(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", TOKEN)
    assert int(DIGEST, 36) == int(hashlib.sha256(ROOT).hexdigest(), 16)
    assert int(SECRET, 36) == int.from_bytes(range(16), "big")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_what_is_written_is_read_again(digest: bytes, secret: bytes) -> None:
    token = JoinToken(digest, secret)
    assert parse_token(f" {token}\n") == token


def test_a_token_knows_its_own_root_only() -> None:
    assert parse_token(TOKEN).is_of(ROOT)
    assert not parse_token(TOKEN).is_of(ROOT + b"!")


def test_the_secret_is_not_in_the_repr() -> None:
    token = parse_token(TOKEN)
    assert repr(token.secret) not in repr(token)
    assert SECRET not in repr(token)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with SWMTKN-1-"),
        ("hello", "begins with SWMTKN-1-"),
        (TOKEN.lower(), "begins with SWMTKN-1-"),
        ("SWMKEY-1-abc", "unlock key"),
        (TOKEN.replace("-1-", "-2-", 1), "version '2'"),
        ("SWMTKN", "four parts"),
        (f"SWMTKN-1-{DIGEST}", "four parts"),
        (f"{TOKEN}-x", "four parts"),
        (TOKEN[:-1], "secret has 24 characters"),
        (f"SWMTKN-1-{DIGEST[1:]}-{SECRET}", "digest has 49 characters"),
        (f"SWMTKN-1-{DIGEST}-{SECRET.upper()}", "other characters"),
        (f"SWMTKN-1-{DIGEST}-{SECRET[:-1]}_", "other characters"),
        (f"SWMTKN-1-{DIGEST}-{'z' * 25}", "no number of 16 bytes"),
        (f"SWMTKN-1-{'z' * 50}-{SECRET}", "no number of 32 bytes"),
    ],
)
def test_a_malformed_token_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(SwarmError) as caught:
        parse_token(text)
    assert (caught.value.code, caught.value.field) == (Code.INVALID, "token")
    assert why in caught.value.why
    assert "join-token" in caught.value.remedy


def test_a_secret_of_another_length_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        new_token(ROOT, b"short")
