import os
import stat
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from swarmctl.cli import contexts
from swarmctl.cli.contexts import Context

SOCKET = "unix:///run/swarm/swarmd.sock"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "swarmctl"


def test_contexts_are_read_as_they_were_saved() -> None:
    remote = Context("prod", ("tcp://10.0.0.1:2377", "tcp://[::1]:2377", "tcp://m.example"), "/c")
    local = Context("lab/m1", (SOCKET,))
    contexts.save(remote)
    contexts.save(local)
    assert contexts.load_all() == {"lab/m1": local, "prod": remote}
    assert contexts.get("lab/m1") == local
    contexts.save(Context("prod", (SOCKET,)))
    assert contexts.get("prod").hosts == (SOCKET,)


def test_nothing_is_there_at_first() -> None:
    assert contexts.load_all() == {}
    assert contexts.current() == ""
    contexts.remove("none")
    contexts.use("")
    with pytest.raises(SwarmError) as missing:
        contexts.get("none")
    assert missing.value.code is Code.NOT_FOUND


def test_one_context_is_current_until_it_is_removed() -> None:
    contexts.save(Context("a", (SOCKET,)))
    contexts.save(Context("b", (SOCKET,)))
    contexts.use("a")
    assert contexts.current() == "a"
    contexts.remove("b")
    assert contexts.current() == "a"
    contexts.remove("a")
    assert contexts.current() == ""
    with pytest.raises(SwarmError):
        contexts.use("a")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b/c", "/a", "a/", "a b", "-a", "a\0", ".a"])
def test_names_that_are_refused(name: str, config: Path) -> None:
    with pytest.raises(SwarmError) as refused:
        contexts.save(Context(name, (SOCKET,)))
    assert refused.value.field == "name"
    assert not config.exists()


@pytest.mark.parametrize(
    "hosts", [(), ("",), ("10.0.0.1:2377",), ("unix://relative",), ("tcp://",), ("http://x:1",)]
)
def test_hosts_that_are_refused(hosts: tuple[str, ...], config: Path) -> None:
    with pytest.raises(SwarmError) as refused:
        contexts.save(Context("a", hosts))
    assert refused.value.field == "hosts"
    assert not config.exists()


def test_only_the_owner_may_look(config: Path) -> None:
    mask = os.umask(0)
    try:
        contexts.save(Context("lab/m1", (SOCKET,)))
        contexts.use("lab/m1")
    finally:
        os.umask(mask)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [config, *config.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"hosts": 3}'])
def test_a_damaged_context_is_named_and_can_be_removed(content: str, config: Path) -> None:
    contexts.save(Context("a", (SOCKET,)))
    (config / "contexts/a.json").write_text(content)
    with pytest.raises(SwarmError, match="context a cannot be read"):
        contexts.get("a")
    contexts.remove("a")
    assert contexts.load_all() == {}


def test_a_relative_configuration_directory_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    contexts.save(Context("a", (SOCKET,)))
    assert (tmp_path / ".config/swarmctl/contexts/a.json").exists()
