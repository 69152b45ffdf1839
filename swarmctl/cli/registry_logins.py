"""Who the operator is at registries: what `image login` keeps, else what Docker's file has.

Passwords lie in base64, as Docker keeps them, in a file that the operator alone can read; where
Docker was told to ask a credential helper, it is asked each time and nothing is kept.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.errors import Code, SwarmError
from api.image_name import DEFAULT_DOMAIN
from swarmctl.cli import configuration

_HUB_KEY = "https://index.docker.io/v1/"
"""How Docker calls its own registry in its configuration."""
_HELPER_TIMEOUT = 20.0
_TOKEN_USER = "<token>"  # noqa: S105 - Docker's word for a helper's answer that is no password


@dataclass(frozen=True)
class Login:
    """A user of one registry."""

    username: str
    password: str = field(repr=False)


def find(registry: str) -> Login | None:
    """The operator's login at `registry`, host or host:port; None if there is none.

    REFUSED if a configuration cannot be read, or a helper fails.
    """
    own = _read(_own_file())
    docker = _read(_docker_file())
    return _stored(own, registry) or _helped(docker, registry) or _stored(docker, registry)


def save(registry: str, login: Login) -> None:
    """Keeps a login, in place of one that was kept for the registry."""
    document = _read(_own_file())
    pair = f"{login.username}:{login.password}".encode()
    auths = _table(document, "auths")
    auths[_key(registry)] = {"auth": base64.b64encode(pair).decode()}
    _write_own(auths)


def remove(registry: str) -> bool:
    """Forgets a login that `save` kept; False if there was none. Docker's are left alone."""
    auths = _table(_read(_own_file()), "auths")
    if auths.pop(_key(registry), None) is None:
        return False
    _write_own(auths)
    return True


def encoded(login: Login, registry: str) -> str:
    """The login as `registry_auth` of the API takes it, which is Docker's X-Registry-Auth."""
    document = {
        "username": login.username,
        "password": login.password,
        "serveraddress": _key(registry),
    }
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def _own_file() -> Path:
    return configuration.folder() / "registries.json"


def _docker_file() -> Path:
    configured = os.environ.get("DOCKER_CONFIG", "")
    return (Path(configured) if configured else Path.home() / ".docker") / "config.json"


def _key(registry: str) -> str:
    return _HUB_KEY if registry == DEFAULT_DOMAIN else registry


def _write_own(auths: Mapping[str, Any]) -> None:
    path = _own_file()
    try:
        configuration.write(path, json.dumps({"auths": auths}, indent=2) + "\n")
    except OSError as error:
        raise SwarmError(
            Code.REFUSED, f"cannot write {path}", why=error.strerror or str(error)
        ) from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(document, dict):
        raise _unreadable(path, "it is no JSON object")
    return document


def _unreadable(path: Path, why: str) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        "the logins of registries cannot be read",
        why=f"{path}: {why}",
        remedy="mend or remove that file",
    )


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return dict(found) if isinstance(found, dict) else {}


def _stored(document: Mapping[str, Any], registry: str) -> Login | None:
    for key, entry in _table(document, "auths").items():
        if _names(key, registry) and isinstance(entry, dict):
            return _decoded(entry.get("auth"))
    return None


def _names(key: str, registry: str) -> bool:
    """Whether a key of Docker's means the registry; old ones are URLs."""
    if registry == DEFAULT_DOMAIN:
        return key == _HUB_KEY
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0] == registry


def _decoded(text: object) -> Login | None:
    if not isinstance(text, str) or not text:  # Docker leaves it out where a helper has it
        return None
    try:
        username, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return None
    return Login(username, password.rstrip("\0")) if username else None


def _helped(document: Mapping[str, Any], registry: str) -> Login | None:
    """What the credential helper says that Docker would ask."""
    key = _key(registry)
    named = _table(document, "credHelpers").get(key) or document.get("credsStore")
    if not isinstance(named, str) or not named or "/" in named:
        return None
    import subprocess  # noqa: PLC0415 - rarely used, and start-up time counts

    program = f"docker-credential-{named}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=_HELPER_TIMEOUT,
            check=False,
        )
        if done.returncode:  # as when it has nothing for this registry
            return None
        answer = json.loads(done.stdout)
        username, password = answer["Username"], answer["Secret"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise SwarmError(
            Code.REFUSED,
            f"{program} gives no login for {registry}",
            why=str(error),
            remedy=f"see to it, or use swarmctl image login {registry}",
        ) from error
    if username == _TOKEN_USER:
        raise SwarmError(
            Code.UNSUPPORTED,
            f"{program} gives a token for {registry}",
            why="only a username and a password are understood",
            remedy=f"use swarmctl image login {registry}",
        )
    return Login(str(username), str(password))
