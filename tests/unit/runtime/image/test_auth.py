"""Challenges, tokens and credentials."""

import base64
import json

import pytest

from api.errors import SwarmError
from runtime.image import auth
from runtime.image.auth import Challenge, Credentials

CHALLENGES: list[tuple[list[str], list[Challenge]]] = [
    ([], []),
    ([""], []),
    (["Basic"], [Challenge("basic", {})]),
    (['Basic realm="x"'], [Challenge("basic", {"realm": "x"})]),
    (["basic REALM=x"], [Challenge("basic", {"realm": "x"})]),
    (
        ['Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push"'],
        [
            Challenge(
                "bearer",
                {"realm": "https://a/token", "service": "s", "scope": "repository:a/b:pull,push"},
            )
        ],
    ),
    (
        ['Basic realm="a, b", Bearer realm = "c" , service=d'],
        [
            Challenge("basic", {"realm": "a, b"}),
            Challenge("bearer", {"realm": "c", "service": "d"}),
        ],
    ),
    (['Digest realm="q\\"uote"', "Negotiate"],
     [Challenge("digest", {"realm": 'q"uote'}), Challenge("negotiate", {})]),
    (["Negotiate YWJj==, Basic realm=x"],
     [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
    (['Bearer realm="unclosed'], [Challenge("bearer", {})]),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "challenges"), CHALLENGES)
def test_challenges_are_read(headers: list[str], challenges: list[Challenge]) -> None:
    assert auth.parse_challenges(headers) == challenges


def test_a_token_is_preferred_to_a_password() -> None:
    basic, bearer = Challenge("basic", {}), Challenge("bearer", {"realm": "r"})
    assert auth.pick([basic, bearer]) == bearer
    assert auth.pick([basic]) == basic
    assert auth.pick([Challenge("bearer", {}), Challenge("digest", {})]) is None


def test_the_scope_of_the_server_comes_first() -> None:
    asked = Challenge("bearer", {"realm": "r", "service": "s", "scope": "theirs"})
    assert auth.token_query(asked, "ours") == {"service": "s", "scope": "theirs"}
    assert auth.token_query(Challenge("bearer", {}), "ours") == {"scope": "ours"}


@pytest.mark.parametrize(
    ("body", "value", "lifetime"),
    [
        ({"token": "t"}, "t", 60.0),
        ({"access_token": "t", "expires_in": 300}, "t", 300.0),
        ({"token": "t", "expires_in": -1}, "t", 60.0),
        ({"token": "t", "expires_in": 10**400}, "t", 86_400.0),
        ({"token": "t", "expires_in": "soon"}, "t", 60.0),
    ],
)
def test_a_token_is_read(body: dict[str, object], value: str, lifetime: float) -> None:
    token = auth.parse_token(json.dumps(body).encode())
    assert token is not None
    assert (token.value, token.lifetime) == (value, lifetime)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}', b"{"])
def test_what_is_no_token_is_none(body: bytes) -> None:
    assert auth.parse_token(body) is None


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def test_a_registry_auth_is_read() -> None:
    pair = {"username": "ann", "password": "p?>~", "serveraddress": "r.io"}
    assert auth.parse_registry_auth(encoded(pair)) == Credentials("ann", "p?>~")
    assert auth.parse_registry_auth(encoded(pair).rstrip("=")) == Credentials("ann", "p?>~")
    assert auth.parse_registry_auth("") is None
    assert auth.parse_registry_auth(encoded({})) is None


@pytest.mark.parametrize("text", ["!", encoded([]), encoded({"identitytoken": "x"}),
                                  encoded({"username": 1}), "bm9qc29u"])  # fmt: skip
def test_an_unreadable_registry_auth_is_refused(text: str) -> None:
    with pytest.raises(SwarmError) as refusal:
        auth.parse_registry_auth(text)
    assert refusal.value.field == "registry_auth"


def test_a_password_is_not_printed() -> None:
    assert "hush" not in repr(Credentials("ann", "hush"))
    assert "hush" not in repr(auth.Token("hush", 1))
