"""What hosts of a file are to have, and how they come into the operator's store."""

import asyncio
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.certs.host_papers import CERTIFICATE
from machine.provisioning import Change, Kind
from machine.store.machine import Machine, Phase
from machine.store.store import Store
from machine.swarm.seen import HostSeen, Seen
from machine.swarm.wanted import HostWanted, SwarmWanted
from machine.target import Target
from swarmctl.cli.clusters import registering
from swarmctl.cli.clusters.session import Means, Session, opened

HOST = HostWanted("h1", Target("192.0.2.1", user="admin"), swarmd={"log_level": "debug"})


WHEEL = "swarmctl-9-py3-none-any.whl"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """In a folder with a wheel, whose name tells its version."""
    monkeypatch.chdir(tmp_path)
    Path(WHEEL).touch()
    return Store.open(tmp_path / "store")


def session(store: Store, *, version: str = "", limit: tuple[str, ...] = ()) -> Session:
    wanted = SwarmWanted("s", {"h1": HOST}, version=version)
    return Session(wanted, Means(limit, distribution=Path(WHEEL)), store)


def test_a_host_keeps_its_version_unless_the_file_names_one(store: Store) -> None:
    kept = session(store).install(HOST, "1")
    assert kept is not None
    assert (kept.version, kept.wheel) == ("1", None)
    new = session(store).install(HOST, "")
    assert new is not None
    assert (new.version, new.wheel) == ("9", Path(WHEEL))
    named = session(store, version="2").install(HOST, "1")
    assert named is not None
    assert named.version == "2"
    assert named.settings["log_level"] == "debug"
    assert named.settings["api_cert"] == CERTIFICATE
    assert session(store, limit=("h2",)).install(HOST, "1") is None


def test_what_is_no_bundle_is_told_before_any_host_is_reached(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARM_MACHINE_STORAGE_PATH", str(store.root))
    (tmp_path / "b.tar").touch()
    means = Means(distribution=Path(WHEEL), bundle=tmp_path / "b.tar")

    async def work() -> None:
        async with opened(SwarmWanted("s", {"h1": HOST}), means):
            raise AssertionError

    with pytest.raises(SwarmError, match=r"b\.tar is no bundle"):
        asyncio.run(work())


def test_a_host_is_a_machine_of_the_store_and_its_api_has_papers_then(store: Store) -> None:
    before = session(store, version="9").install(HOST, "9")
    assert before is not None
    assert before.files == ()
    with store.locked("h1", "working on it"):  # as `apply` holds it
        machine = registering.register(store, HOST, "9")
    assert (machine.target, machine.api) == (HOST.target, "192.0.2.1:2376")
    again = registering.register(store, HOST, "9")
    assert again.created == machine.created
    after = session(store, version="9").install(HOST, "9")
    assert after is not None
    assert [path for path, _, _ in after.files].count(CERTIFICATE) == 1
    registering.failed(store, "h1", "packages", SwarmError(Code.INTERNAL, "no space"))
    assert (store.get("h1").phase, store.get("h1").step) == (Phase.FAILED, "packages")
    registering.ready(store, "h1", "9")
    assert (store.get("h1").phase, store.get("h1").version) == (Phase.READY, "9")
    registering.forget(store, "h1")
    assert not store.has("h1")


def test_the_api_of_a_host_that_was_adopted_does_not_become_ours(store: Store) -> None:
    store.save(Machine("h1", HOST.target).ready("9", 1.0))
    with store.locked("h1", "working on it"):
        machine = registering.register(store, HOST, "9")
    assert (machine.api, machine.version) == ("", "9")
    found = session(store, version="9").install(HOST, "9")
    assert found is not None
    assert found.files == ()


def test_another_machine_of_that_name_is_not_taken_for_the_host(store: Store) -> None:
    registering.register(store, HOST, "9")
    other = HostWanted("h1", Target("192.0.2.99"))
    with pytest.raises(SwarmError, match=r"another machine h1.*is at 192\.0\.2\.1") as refused:
        registering.register(store, other, "9")
    assert refused.value.code is Code.EXISTS


def test_a_record_of_work_that_was_cut_off_follows_the_host(store: Store) -> None:
    registering.register(store, HOST, "9")
    registering.cut_off(store, "h1")
    assert (store.get("h1").phase, store.get("h1").step) == (Phase.CHANGING, "apply")
    to_do = HostSeen(has_daemon=True, version="9", changes=(Change(Kind.ADD, "unit", "write"),))
    for found in (to_do, HostSeen(version="9"), HostSeen(error="off")):
        registering.settle(store, Seen({"h1": found}))
        assert store.get("h1").phase is Phase.CHANGING
    registering.settle(store, Seen({"h1": HostSeen(has_daemon=True, version="9")}))
    assert (store.get("h1").phase, store.get("h1").version) == (Phase.READY, "9")
