"""What a registry asks of those who pull: challenges, tokens, credentials. Pure: sends nothing.

The token scheme is that of the distribution project ("Token Authentication Specification"); the
headers are those of RFC 9110, section 11.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from api.errors import invalid

DEFAULT_LIFETIME = 60.0
"""Seconds that a token lives where the server does not say."""
_MAX_LIFETIME = 86_400
MAX_TOKEN = 1 << 20
"""Bytes of an answer with a token, at most."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(
    rf"\s*,?\s*({_WORD})"
    rf'(?:\s+(?={_WORD}\s*=\s*(?:"|{_WORD}))|\s*(?=,|$)|\s+[A-Za-z0-9._~+/-]+=*\s*(?=,|$))'
)
_PARAMETER = re.compile(rf'\s*,?\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*(?=,|$)')


@dataclass(frozen=True)
class Credentials:
    """A user of a registry."""

    username: str
    password: str = field(repr=False)

    def basic(self) -> str:
        """The value of an Authorization header by the Basic scheme (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True)
class Challenge:
    """One way to authenticate that the server offers; the scheme and the keys in lower case."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Token:
    """A bearer token, and for how many seconds it is good."""

    value: str = field(repr=False)
    lifetime: float


def parse_registry_auth(text: str) -> Credentials | None:
    """The credentials in a `registry_auth`, Docker's X-Registry-Auth; None if empty.

    Raises SwarmError INVALID for the field "registry_auth".
    """
    if not text:
        return None
    field_name, what = "registry_auth", "the credentials for the registry are unreadable"
    try:
        padded = text + "=" * (-len(text) % 4)
        document = json.loads(base64.b64decode(padded.translate({45: "+", 95: "/"}), validate=True))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise invalid(field_name, what, why="not JSON in base64") from error
    if not isinstance(document, dict):
        raise invalid(field_name, what, why="not a JSON object")
    if document.get("identitytoken") or document.get("registrytoken"):
        raise invalid(field_name, what, why="only a username and a password are understood")
    username, password = document.get("username", ""), document.get("password", "")
    if not isinstance(username, str) or not isinstance(password, str):
        raise invalid(field_name, what, why="username and password must be text")
    return Credentials(username, password) if username else None


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """The challenges of all WWW-Authenticate headers, in order; what is not understood ends one."""
    found = []
    for header in headers:
        position = 0
        while scheme := _SCHEME.match(header, position):
            position = scheme.end()
            parameters: dict[str, str] = {}
            while parameter := _PARAMETER.match(header, position):
                position = parameter.end()
                key, quoted, plain = parameter.groups()
                value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters.setdefault(key.lower(), value)
            found.append(Challenge(scheme[1].lower(), parameters))
    return found


def pick(challenges: Sequence[Challenge]) -> Challenge | None:
    """The challenge to answer: Bearer before Basic; None if there is neither."""
    for scheme in ("bearer", "basic"):
        for challenge in challenges:
            if challenge.scheme == scheme and (
                scheme == "basic" or "realm" in challenge.parameters
            ):
                return challenge
    return None


def token_query(challenge: Challenge, scope: str) -> dict[str, str]:
    """The query of the request for a token: the service, and the scope that the server named."""
    query = {}
    if service := challenge.parameters.get("service"):
        query["service"] = service
    if wanted := challenge.parameters.get("scope") or scope:
        query["scope"] = wanted
    return query


def parse_token(body: bytes) -> Token | None:
    """The token in the answer of a token server, or None if there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    value = document.get("token") or document.get("access_token")
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        return None
    lifetime = document.get("expires_in")
    if not isinstance(lifetime, int | float) or lifetime <= 0:
        lifetime = DEFAULT_LIFETIME
    return Token(value, float(min(lifetime, _MAX_LIFETIME)))
