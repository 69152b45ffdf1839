"""Logins at registries: kept by `image login`, or as Docker left them."""

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.v1 import host_pb2
from runtime.image.auth import Credentials, parse_registry_auth
from swarmctl.cli import configuration, registry_logins
from swarmctl.cli.registry_logins import Login
from tests.support.command_line import CommandLine, Result
from tests.support.scripted_daemon import ScriptedDaemon

ANN = Login("ann", "p:ß s3cret")


def docker(tmp_path: Path, document: object) -> None:
    """Docker's configuration."""
    (tmp_path / "docker").mkdir(exist_ok=True)
    (tmp_path / "docker/config.json").write_text(json.dumps(document))


def auth(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A credential helper called `test`."""
    program = tmp_path / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_a_login_is_found_as_it_was_kept(tmp_path: Path) -> None:
    assert registry_logins.find("registry:5000") is None
    registry_logins.save("registry:5000", Login("bob", "old"))
    registry_logins.save("registry:5000", ANN)
    registry_logins.save("docker.io", Login("bob", "hub"))
    assert registry_logins.find("registry:5000") == ANN
    assert registry_logins.find("docker.io") == Login("bob", "hub")
    assert registry_logins.find("registry") is None
    file = configuration.folder() / "registries.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert registry_logins.remove("registry:5000")
    assert not registry_logins.remove("registry:5000")
    assert registry_logins.find("docker.io") == Login("bob", "hub")


def test_the_api_reads_what_is_sent() -> None:
    sent = registry_logins.encoded(ANN, "docker.io")
    assert parse_registry_auth(sent) == Credentials(ANN.username, ANN.password)
    assert ANN.password not in repr(ANN)


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("registry:5000", "registry:5000"),
        ("https://registry.example.com/v1/", "registry.example.com"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_dockers_logins_are_known(tmp_path: Path, key: str, registry: str) -> None:
    docker(tmp_path, {"auths": {"other": auth("x", "y"), key: auth("ann", "s3cret")}})
    assert registry_logins.find(registry) == Login("ann", "s3cret")
    registry_logins.save(registry, ANN)
    assert registry_logins.find(registry) == ANN, "what was given to swarmctl itself comes first"


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"auth": "%"}, {"auth": "Og=="}, "x"])
def test_an_entry_without_a_login_is_none(tmp_path: Path, entry: object) -> None:
    docker(tmp_path, {"auths": {"registry:5000": entry}})
    assert registry_logins.find("registry:5000") is None


@pytest.mark.parametrize("text", ["{", "[]", "\udc80"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    docker(tmp_path, {})
    (tmp_path / "docker/config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(SwarmError, match=r"docker/config\.json") as refused:
        registry_logins.find("registry:5000")
    assert refused.value.code is Code.REFUSED


@pytest.mark.parametrize(
    "document", [{"credHelpers": {"registry:5000": "test"}}, {"credsStore": "test"}]
)
def test_a_credential_helper_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: object
) -> None:
    docker(tmp_path, document)
    script = 'read -r key || true; echo "{\\"Username\\": \\"AWS\\", \\"Secret\\": \\"$1 $key\\"}"'
    helper(tmp_path, monkeypatch, script)
    assert registry_logins.find("registry:5000") == Login("AWS", "get registry:5000")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo nonsense", "gives no login"),
        ("echo '{}'", "gives no login"),
        ('echo \'{"Username": "<token>", "Secret": "x"}\'', "only a username and a password"),
    ],
)
def test_a_credential_helper_that_makes_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    docker(tmp_path, {"credsStore": "test"})
    helper(tmp_path, monkeypatch, script)
    with pytest.raises(SwarmError, match=why):
        registry_logins.find("registry:5000")


def test_a_helper_that_has_nothing_leaves_it_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path, {"credsStore": "test", "auths": {"registry:5000": auth("ann", "s3cret")}})
    helper(tmp_path, monkeypatch, "echo credentials not found; exit 1")
    assert registry_logins.find("registry:5000") == Login("ann", "s3cret")


@pytest.fixture
def log_in(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`image login` with a password on its standard input."""

    def run(password: str, *words: str) -> Result:
        monkeypatch.setattr("sys.stdin", _Input(password))
        return cli("image", "login", "--password-stdin", *words)

    return run


def test_a_login_is_tried_and_kept(
    cli: CommandLine, daemon: ScriptedDaemon, log_in: Callable[..., Result]
) -> None:
    daemon.on("CheckLogin", host_pb2.CheckLoginResponse())
    done = log_in("s3cret\n", "-u", "ann", "https://registry:5000/v2/")
    assert (done.code, done.out) == (0, "Login Succeeded\n")
    assert registry_logins.find("registry:5000") == Login("ann", "s3cret")
    assert log_in("s3cret", "-u", "ann").code == 0
    assert registry_logins.find("docker.io") == Login("ann", "s3cret")
    first, second = daemon.asked("CheckLogin")
    assert (first.registry, second.registry) == ("registry:5000", "docker.io")
    assert parse_registry_auth(first.registry_auth) == Credentials("ann", "s3cret")
    assert "removed" in cli("image", "logout", "registry:5000").out
    assert "Not logged in" in cli("image", "logout", "registry:5000").out
    assert registry_logins.find("registry:5000") is None


def test_a_login_that_is_refused_is_not_kept(
    daemon: ScriptedDaemon, log_in: Callable[..., Result]
) -> None:
    daemon.on("CheckLogin", SwarmError(Code.UNAUTHENTICATED, "registry:5000 refuses this login"))
    refused = log_in("wrong", "-u", "ann", "registry:5000")
    assert refused.code == 1
    assert "refuses this login" in refused.err
    assert registry_logins.find("registry:5000") is None


@pytest.mark.parametrize("words", [("", "-u", "ann"), ("x", "-u", "a:b"), ("x",)])
def test_a_login_that_is_none_is_tried_nowhere(
    daemon: ScriptedDaemon, log_in: Callable[..., Result], words: tuple[str, ...]
) -> None:
    assert log_in(*words).code == 2
    assert daemon.asked("CheckLogin") == []


class _Input:
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> str:
        return self._text

    def isatty(self) -> bool:
        return False
