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


def test_what_is_forgotten_shows_its_key_anew(store: Store) -> None:
    known = KnownHosts(store.known_hosts)
    places = {"gone": "10.0.0.1", "twin": "10.0.0.2", "other": "10.0.0.2"}
    for name, host in places.items():
        store.save(Machine(name, Target(host)))
        known.pin(HostKey(host, "ssh-ed25519", host.encode()))

    def pinned() -> list[str]:
        return [host for host in ("10.0.0.1", "10.0.0.2") if known.find(host)]

    forget(store, "gone", lambda _: {})
    assert (store.names(), pinned()) == (["other", "twin"], ["10.0.0.2"])
    forget(store, "twin", lambda _: {})
    assert pinned() == ["10.0.0.2"]  # another machine is known by it
    forget(store, "other", lambda _: {})
    assert (store.names(), pinned()) == ([], [])


def test_a_damaged_record_is_forgotten_too(store: Store) -> None:
    store.save(Machine("h1", Target("10.0.0.1")))
    (store.folder("h1") / "machine.json").write_text("{")
    forget(store, "h1", lambda _: {})
    assert store.names() == []
