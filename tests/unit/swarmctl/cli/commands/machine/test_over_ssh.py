"""`machine` and a real SSH server on loopback, which is also its own jump host."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine.inventory import add, make
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.store.store import VARIABLE, Store
from tests.support.command_line import CommandLine
from tests.support.ports import free_pair
from tests.support.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.root

swarmctl = CommandLine()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture
def store(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """With a machine whose API nobody serves."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    (tmp_path / "key").write_bytes(server.key)
    store = Store.open()
    options = {
        "ip-address": server.address,
        "ssh-port": server.port,
        "ssh-user": "root",
        "ssh-key": str(tmp_path / "key"),
        "ssh-jump": [f"root@{server.address}:{server.port}"],
        "engine-port": free_pair(),
    }
    machine = asyncio.run(make(store, add(store, "h1", "generic", options)))
    store.save(machine.ready("0.1.0", 1.0))
    return store


def test_a_machine_behind_another_is_looked_at_over_ssh(store: Store) -> None:
    (row,) = map(
        json.loads, swarmctl("machine", "ls", "-t", "60s", "--format", "json").out.splitlines()
    )
    assert (row["State"], row["Errors"]) == ("Running", "its daemon does not answer")
    assert KnownHosts(store.known_hosts).path.stat().st_mode & 0o777 == 0o600


def test_another_host_key_is_shown_before_it_is_trusted(store: Store, server: SshServer) -> None:
    assert swarmctl("machine", "trust", "-y", "h1").code == 0
    name = f"[{server.address}]:{server.port}"
    known = KnownHosts(store.known_hosts)
    (pinned,) = known.find(name)
    refused = swarmctl("machine", "trust", "--host-key", "SHA256:another", "h1")
    assert (refused.code, pinned.fingerprint in refused.err) == (1, True)
    again = swarmctl("machine", "trust", "--host-key", pinned.fingerprint, "h1")
    assert (again.code, again.out) == (0, "h1\n")
    assert f"pinned was {pinned.fingerprint}" in again.err


def test_a_host_of_a_file_is_trusted_before_it_is_a_machine(
    store: Store, server: SshServer, tmp_path: Path
) -> None:
    file = tmp_path / "cluster.yml"
    ssh = f"ssh: {{port: {server.port}, user: root, key: {tmp_path}/key}}"
    file.write_text(f"name: x\n{ssh}\nhosts:\n  m1: {{address: {server.address}, role: manager}}\n")
    assert "there is no machine m1" in swarmctl("machine", "trust", "-y", "m1").err
    assert "no host m2" in swarmctl("machine", "trust", "-y", "-f", str(file), "m2").err
    done = swarmctl("machine", "trust", "-y", "-f", str(file), "m1")
    assert (done.code, done.out) == (0, "m1\n"), done.err
    assert KnownHosts(store.known_hosts).find(f"[{server.address}]:{server.port}")


def test_a_plan_for_a_new_machine_trusts_the_keys_that_are_pinned_and_keeps_none(
    store: Store, server: SshServer, tmp_path: Path
) -> None:
    words = (
        f"--generic-ip-address={server.address}",
        f"--generic-ssh-port={server.port}",
        f"--generic-ssh-key={tmp_path}/key",
        "h9",
    )
    known = KnownHosts(store.known_hosts)
    new = swarmctl("machine", "create", "--dry-run", *words)
    assert "would be trusted from now on" in new.err
    assert "trusting" not in new.err
    assert (store.names(), known.path.exists()) == (["h1"], False)
    known.pin(HostKey(f"[{server.address}]:{server.port}", "ssh-ed25519", b"former"))
    other = swarmctl("machine", "create", "--dry-run", *words)
    assert (other.code, "is not the host it was" in other.err) == (1, True), other.err


def test_a_command_there_ends_as_it_ends_there(store: Store) -> None:
    assert swarmctl("machine", "ssh", "h1", "exit", "7").code == 7
    gone = swarmctl("machine", "ssh", "h2")
    assert (gone.code, "there is no machine h2" in gone.err) == (1, True)
    assert swarmctl("machine", "scp", "h1:/etc/hostname").code == 2


def test_a_folder_of_it_is_shown_here_and_taken_away(
    store: Store, server: SshServer, tmp_path: Path
) -> None:
    (server.folder / "note").write_text("kept")
    here = tmp_path / "here"
    shown = swarmctl("machine", "mount", f"h1:{server.folder}", str(here))
    assert shown.code == 0, shown.err
    try:
        assert (here / "note").read_text() == "kept"
    finally:
        assert swarmctl("machine", "mount", "-u", "h1:", str(here)).code == 0
    assert os.listdir(here) == []
    twice = swarmctl("machine", "mount", "-u", "h1:", str(here))
    assert (twice.code, "no machine's folder" in twice.err) == (1, True)
