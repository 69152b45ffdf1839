"""How machines come into the store."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from machine.drivers.generic.driver import GENERIC
from machine.inventory import add, complete, forget, make, reached
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.store.machine import Machine, Phase, Wish
from machine.store.store import Store
from machine.target import Target


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", clock=lambda: 1000.0)


def test_a_machine_is_recorded_before_it_is_made(store: Store, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("private")
    options = {"ip-address": "10.0.0.1", "ssh-key": str(tmp_path / "key"), "engine-port": 2400}
    machine = add(store, "h1", "generic", options, Wish(version="1"))
    assert store.get("h1") == machine
    assert (machine.phase, machine.options["ssh-key"]) == (Phase.NEW, "id")
    made = asyncio.run(make(store, machine))
    assert store.get("h1") == made
    assert (made.target.host, made.target.key, made.api) == ("10.0.0.1", "id", "10.0.0.1:2400")
    assert (made.phase, made.step) == (Phase.CHANGING, "create")
    assert (store.folder("h1") / "id").read_text() == "private"


def test_there_is_one_of_a_name(store: Store) -> None:
    add(store, "h1", "generic", {"ip-address": "10.0.0.1"})
    with pytest.raises(SwarmError, match="machine provision h1") as caught:
        add(store, "h1", "generic", {"ip-address": "10.0.0.2"})
    assert caught.value.code is Code.EXISTS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs --generic-ip-address"),
        ({"ip-address": "a", "size": "big"}, "no option size"),
        ({"ip-address": 7}, "is no str"),
        ({"ip-address": "a", "ssh-port": "22"}, "is no int"),
        ({"ip-address": "a", "ssh-port": True}, "is no int"),
        ({"ip-address": "a", "ssh-key": "/nothing/here"}, "no private key"),
    ],
)
def test_wrong_options_leave_nothing_behind(
    store: Store, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SwarmError, match=words):
        add(store, "h1", "generic", options)
    assert not store.has("h1")


def test_what_was_not_said_is_filled_in() -> None:
    assert complete(GENERIC, {"ip-address": "a", "ssh-jump": ()}) == {
        "ip-address": "a",
        "ssh-user": "",
        "ssh-port": 0,
        "ssh-key": "",
        "ssh-jump": [],
        "ssh-host-key": "",
        "ssh-no-agent": False,
        "engine-port": 2376,
    }


def test_the_key_of_a_new_way_is_copied(store: Store, tmp_path: Path) -> None:
    store.save(machine := Machine("h1", Target("10.0.0.1")))
    (tmp_path / "vagrant_key").write_text("private")
    moved = reached(store, machine, Target("10.0.0.2", key=str(tmp_path / "vagrant_key")))
    assert (moved.target.host, moved.target.key) == ("10.0.0.2", "id")
    again = reached(store, moved, Target("10.0.0.2", key=str(store.folder("h1") / "id")))
    assert again == moved


def test_a_machine_is_forgotten_with_its_host_key_unless_another_is_there_too(store: Store) -> None:
    key = HostKey("10.0.0.1", "ssh-ed25519", b"key")
    known = KnownHosts(store.known_hosts)
    for name in ("h1", "h2", "h3"):
        store.save(Machine(name, Target("10.0.0.1")))
    (store.folder("h3") / "machine.json").write_text("{")
    known.pin(key)
    forget(store, "h1")
    assert known.find("10.0.0.1") == [key]
    forget(store, "h2")
    assert known.find("10.0.0.1") == []
    assert store.names() == ["h3"]
    forget(store, "h3")  # though its record is damaged
    assert store.names() == []
