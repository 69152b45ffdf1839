"""The operator's store on a real file system."""

import json
import os
import stat
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from machine.store.machine import Machine
from machine.store.schema import Schema
from machine.store.store import VARIABLE, Store, default_root
from machine.target import Target


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", clock=lambda: 1000.0)


def _machine(name: str = "h1", key: str = "") -> Machine:
    return Machine(name, Target("10.0.0.1", key=key), created=1000.0)


def test_an_empty_store(store: Store) -> None:
    assert store.names() == []
    assert not store.has("h1")
    store.remove("h1")
    assert store.holder("h1") == ""
    with pytest.raises(SwarmError) as caught:
        store.get("h1")
    assert caught.value.code is Code.NOT_FOUND
    assert not store.root.exists()


def test_what_is_saved_is_there_until_it_is_removed(store: Store) -> None:
    for name in ("h2", "h1"):
        store.save(_machine(name))
    assert store.names() == ["h1", "h2"]
    assert store.get("h1") == _machine("h1")
    store.remove("h1")
    assert store.names() == ["h2"]
    assert not store.folder("h1").exists()


def test_everything_is_the_owners_alone(store: Store, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o644)
    before = os.umask(0)
    try:
        assert store.keep_key("h1", key) == "id"
        store.save(_machine(key="id"))
        with store.locked("h1", "testing it"), store.locked_whole("testing"):
            pass
    finally:
        os.umask(before)
    for folder, _, names in os.walk(store.root):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE((Path(folder) / name).stat().st_mode) == 0o600


def test_paths_are_relative_and_the_store_can_be_moved(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="absolute path"):
        store.save(_machine(key="/root/key"))
    (tmp_path / "key").write_text("secret")
    store.save(_machine(key=store.keep_key("h1", tmp_path / "key")))
    store.root.rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    assert (moved.folder("h1") / moved.get("h1").target.key).read_text() == "secret"


def test_a_key_that_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="no private key"):
        store.keep_key("h1", tmp_path / "nothing")


def test_a_write_that_is_cut_off_leaves_the_old_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(_machine())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.save(_machine().at("packages", 5.0))
    assert store.get("h1") == _machine()
    assert [each.name for each in store.folder("h1").iterdir()] == ["machine.json"]


def test_an_older_record_is_kept_beside_the_new_one(store: Store) -> None:
    store.save(_machine())
    path = store.folder("h1") / "machine.json"
    old = path.read_bytes()
    newer = Store(store.root, schema=Schema(form=2, migrations={1: lambda document: document}))
    assert newer.get("h1") == _machine()
    assert json.loads(path.read_bytes())["form"] == 2
    assert path.with_name("machine.json.form1").read_bytes() == old
    with pytest.raises(SwarmError, match="newer swarmctl"):
        store.get("h1")


def test_a_folder_that_was_renamed_by_hand(store: Store) -> None:
    store.save(_machine("h1"))
    store.folder("h1").rename(store.folder("h9"))
    assert store.get("h9").name == "h9"


def test_a_record_that_is_far_too_long(store: Store) -> None:
    store.save(_machine())
    with (store.folder("h1") / "machine.json").open("ab") as file:
        file.truncate(5 << 20)
    with pytest.raises(SwarmError, match="too long"):
        store.get("h1")


def test_two_at_once(store: Store) -> None:
    with store.locked("h1", "upgrading it"), store.locked("h2", "upgrading it"):
        assert "is upgrading it since" in store.holder("h1")
        with pytest.raises(SwarmError) as caught, store.locked("h1", "removing it"):
            pass
        assert caught.value.code is Code.REFUSED
        assert "is upgrading it since" in str(caught.value)
    assert store.holder("h1") == ""
    with store.locked("h1", "removing it"):
        assert "removing it" in store.holder("h1")


def test_the_lock_ends_with_a_failure(store: Store) -> None:
    with pytest.raises(KeyError), store.locked_whole("making the authority"):
        raise KeyError
    with (
        store.locked_whole("making the authority"),
        pytest.raises(SwarmError, match="making the authority"),
        store.locked_whole("renewing", patience=0.1),
    ):
        pass


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({}, "/home/u/.local/share/swarmctl/machines"),
        ({"XDG_DATA_HOME": "/data"}, "/data/swarmctl/machines"),
        ({"XDG_DATA_HOME": "data"}, "/home/u/.local/share/swarmctl/machines"),
        ({"XDG_DATA_HOME": "/data", VARIABLE: "/mine"}, "/mine"),
        ({VARIABLE: "~/mine"}, "/home/u/mine"),
    ],
)
def test_where_it_is(variables: dict[str, str], root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/u"} | variables).items():
        monkeypatch.setenv(name, value)
    assert str(default_root()) == root
