"""Unlock keys: the form that operators type, and what is said of one that is not whole."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Code, SwarmError
from api.unlock_key import format_unlock_key, parse_unlock_key

KEY = format_unlock_key(bytes(range(32)))
TEXT = KEY.split("-", 2)[2]


def test_a_key_has_the_form_of_swarms() -> None:
    assert re.fullmatch(r"SWMKEY-1-[0-9A-Za-z+/]{43}", KEY)
    assert TEXT == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@given(st.binary(min_size=32, max_size=32))
def test_what_is_written_is_read_again(key: bytes) -> None:
    assert parse_unlock_key(f" {format_unlock_key(key)}\n") == key


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_a_defect(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        format_unlock_key(bytes(size))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with SWMKEY-1-"),
        ("hello", "begins with SWMKEY-1-"),
        (KEY.lower(), "begins with SWMKEY-1-"),
        (f"SWMTKN-1-{'0' * 50}-{'0' * 25}", "join token"),
        (KEY.replace("-1-", "-2-", 1), "version '2'"),
        ("SWMKEY", "three parts"),
        ("SWMKEY-1", "three parts"),
        (f"{KEY}-x", "three parts"),
        (f"{KEY} {KEY}", "three parts"),
        (KEY[:-1], "42 characters instead of 43"),
        (f"{KEY}=", "44 characters instead of 43"),
        (f"SWMKEY-1-{TEXT[:-1]}_", "other characters"),
        (f"SWMKEY-1-{TEXT[:20]} {TEXT[21:]}", "other characters"),
        (f"SWMKEY-1-{TEXT[:20]}é{TEXT[21:]}", "other characters"),
        (f"SWMKEY-1-{TEXT[:-1]}9", "none that a key ends with"),
    ],
)
def test_a_malformed_key_is_refused_with_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(SwarmError) as caught:
        parse_unlock_key(text)
    error = caught.value
    assert (error.code, error.field) == (Code.INVALID, "key")
    assert why in error.why
    assert "swarm unlock-key" in error.remedy
    assert TEXT[5:15] not in str(error), "nothing of a key is repeated"
