"""Machines from one store into another: to one's own other desk, and to a colleague."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.certificates import is_issued_by
from api.errors import Code, SwarmError
from api.identity import identity_of
from machine.certs.host_papers import client_folder, host_papers, is_borrowed
from machine.certs.operator_ca import OperatorCa
from machine.moving.cargo import Cargo, decoded, encoded
from machine.moving.moving import exported, shared, take_in
from machine.moving.sealed import opened, sealed
from machine.ssh.host_keys import HostKey, KnownHosts
from machine.store.machine import Machine
from machine.store.store import Store
from machine.target import Target

SSH_CONFIG: dict[str, dict[str, Any]] = {
    "web": {"hostname": "10.0.0.1", "user": "admin", "port": "2222", "proxyjump": "bastion"},
    "bastion": {"hostname": "192.0.2.7", "user": "me"},
}
KEY = HostKey("[10.0.0.1]:2222_via_192.0.2.7", "ssh-ed25519", b"key of web")
JUMP = HostKey("192.0.2.7", "ssh-ed25519", b"key of bastion")


def lookup(host: str) -> dict[str, Any]:
    return SSH_CONFIG.get(host, {})


def store_at(folder: Path) -> Store:
    return Store(folder, clock=lambda: 1_800_000_000.0)


@pytest.fixture
def desk(tmp_path: Path) -> Store:
    """A store with one machine, reached as ~/.ssh/config says."""
    store = store_at(tmp_path / "desk")
    (tmp_path / "key").write_text("private")
    machine = Machine(
        "h1",
        Target("web", key=store.keep_key("h1", tmp_path / "key")),
        options={"ip-address": "web", "ssh-key": "id"},
        api="10.0.0.1:2376",
    )
    store.save(machine)
    host_papers(store, machine)
    for key in (KEY, JUMP, HostKey("other", "ssh-ed25519", b"no business of others")):
        KnownHosts(store.known_hosts).pin(key)
    return store


@pytest.fixture
def elsewhere(tmp_path: Path) -> Store:
    return store_at(tmp_path / "elsewhere")


def sent(cargo: Cargo) -> Cargo:
    """As it comes out of the file at the other end."""
    content = sealed(encoded(cargo), "open", b"s" * 16, b"n" * 12)
    assert b"private" not in content
    return decoded(opened(content, "open"))


def test_to_another_workstation_with_all_that_it_takes(desk: Store, elsewhere: Store) -> None:
    papers = host_papers(desk, desk.get("h1"))
    cargo = sent(exported(desk, ["h1"], authority=True, lookup=lookup))
    assert take_in(elsewhere, cargo) == ["h1"]
    machine = elsewhere.get("h1")
    assert (machine.target.host, machine.target.user, machine.target.port) == (
        "10.0.0.1",
        "admin",
        2222,
    )
    assert machine.target.jump == ("me@192.0.2.7:22",)
    assert (elsewhere.folder("h1") / machine.target.key).read_text() == "private"
    known = KnownHosts(elsewhere.known_hosts)
    assert (known.find(KEY.name), known.find(JUMP.name)) == ([KEY], [JUMP])
    assert known.find("other") == []
    assert not is_borrowed(elsewhere, machine)
    assert host_papers(elsewhere, machine).files[:2] == papers.files[:2]
    assert OperatorCa(elsewhere).trusted_pem == OperatorCa(desk).trusted_pem


def test_without_the_authority_it_stays_the_senders(desk: Store, elsewhere: Store) -> None:
    take_in(elsewhere, sent(exported(desk, ["h1"], lookup=lookup)))
    machine = elsewhere.get("h1")
    assert (elsewhere.folder("h1") / machine.target.key).read_text() == "private"
    folder = client_folder(elsewhere, machine)
    certificate = (folder / "cert.pem").read_bytes()
    assert is_issued_by(certificate, OperatorCa(desk).trusted_pem)
    with pytest.raises(SwarmError, match="colleague's"):
        host_papers(elsewhere, machine)
    back = store_at(desk.root)
    back.remove("h1")
    take_in(back, sent(exported(elsewhere, ["h1"], lookup=lookup)))
    assert not is_borrowed(back, back.get("h1")), "it is ours, and comes back"
    # And on from there, as it is.
    third = store_at(elsewhere.root / "third")
    take_in(third, sent(exported(elsewhere, ["h1"], lookup=lookup)))
    assert (client_folder(third, third.get("h1")) / "cert.pem").read_bytes() == certificate


def test_a_colleague_gets_a_certificate_of_his_own_and_no_key_of_ours(
    desk: Store, elsewhere: Store
) -> None:
    cargo = sent(shared(desk, ["h1"], "alice", lookup=lookup))
    assert list(cargo.machines["h1"]) == ["machine.json"]
    assert cargo.authority == {}
    take_in(elsewhere, cargo)
    machine = elsewhere.get("h1")
    assert (machine.target.key, machine.options) == ("", {"ip-address": "web"})
    certificate = (client_folder(elsewhere, machine) / "cert.pem").read_bytes()
    assert identity_of(certificate).id == "alice"
    assert [each.person for each in OperatorCa(desk).issued()] == ["alice"]
    with pytest.raises(SwarmError, match="colleague's"):
        shared(elsewhere, ["h1"], "bob", lookup=lookup)


def test_nothing_is_written_over(desk: Store, elsewhere: Store) -> None:
    cargo = exported(desk, ["h1"], authority=True, lookup=lookup)
    before = desk.get("h1")
    with pytest.raises(SwarmError, match="a machine h1 already"):
        take_in(desk, cargo)
    assert desk.get("h1") == before
    mine = OperatorCa(elsewhere).trusted_pem
    with pytest.raises(SwarmError, match="authority of its own") as caught:
        take_in(elsewhere, cargo)
    assert caught.value.code is Code.EXISTS
    assert (OperatorCa(elsewhere).trusted_pem, elsewhere.names()) == (mine, [])
    desk.remove("h1")
    assert take_in(desk, cargo) == ["h1"], "the same authority is no other one"


def test_another_key_of_a_host_is_no_small_thing(desk: Store, elsewhere: Store) -> None:
    KnownHosts(elsewhere.known_hosts).pin(replace(KEY, blob=b"another"))
    with pytest.raises(SwarmError, match="another key") as caught:
        take_in(elsewhere, exported(desk, ["h1"], lookup=lookup))
    assert caught.value.code is Code.REFUSED
    assert elsewhere.names() == []


def _with_file(cargo: Cargo, name: str) -> Cargo:
    return replace(cargo, machines={"h1": {**cargo.machines["h1"], name: b"x"}})


@pytest.mark.parametrize(
    "harm",
    [
        lambda cargo: _with_file(cargo, "../../known_hosts"),
        lambda cargo: _with_file(cargo, "/etc/passwd"),
        lambda cargo: _with_file(cargo, "a//b"),
        lambda cargo: replace(cargo, machines={"../h1": cargo.machines["h1"]}),
        lambda cargo: replace(cargo, known_hosts=(replace(KEY, name="a\nb"),)),
        lambda cargo: replace(cargo, known_hosts=(replace(KEY, name="*"),)),
        lambda cargo: replace(cargo, machines={"h1": {}}),
        lambda cargo: replace(cargo, machines={"h1": {"machine.json": b"{}"}}),
        lambda cargo: replace(
            cargo, machines={"h1": {"machine.json": cargo.machines["h1"]["machine.json"]}}
        ),
    ],
)
def test_a_file_that_was_made_to_do_harm_does_none(
    desk: Store, elsewhere: Store, harm: Callable[[Cargo], Cargo]
) -> None:
    bad = harm(exported(desk, ["h1"], lookup=lookup))
    with pytest.raises(SwarmError):
        take_in(elsewhere, decoded(encoded(bad)))
    assert not elsewhere.root.exists()


def test_an_authority_brings_no_other_files(desk: Store, elsewhere: Store) -> None:
    cargo = exported(desk, ["h1"], authority=True, lookup=lookup)
    take_in(elsewhere, replace(cargo, authority={**cargo.authority, "locks/x": b"x"}))
    assert not (elsewhere.root / "locks" / "x").exists()
    assert "private" not in repr(cargo)


def test_what_a_program_of_this_workstation_leads_to_stays_as_it_was_said(
    desk: Store, elsewhere: Store
) -> None:
    """Its ~/.ssh/config has to say the same of it."""

    def said(host: str) -> dict[str, str]:
        return {"hostname": "i-07", "user": "ops", "proxycommand": "aws ssm %h"}

    before = desk.get("h1").target
    take_in(elsewhere, sent(shared(desk, ["h1"], "alice", lookup=said)))
    machine = elsewhere.get("h1")
    assert (machine.target.host, machine.target.user) == (before.host, before.user)
