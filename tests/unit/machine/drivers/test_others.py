"""Drivers of other packages: the example, as it would be installed, and broken ones."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from api.errors import Code, SwarmError
from machine.driver import State
from machine.drivers import registry
from machine.inventory import add, driver_of, host_of, make
from machine.store.machine import Phase
from machine.store.store import Store
from swarmctl.cli.commands.machine.driver_flags import chosen_options, driver_flags
from tests.support.installed import installed

EXAMPLE = Path(__file__).parents[4] / "examples" / "machine-driver"


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Path]:
    """The example is installed; a file with two hosts."""
    (tmp_path / "site").mkdir()
    file = tmp_path / "hosts"
    file.write_text("# ours\nadmin@10.0.0.1\n10.0.0.2  # slow\n")
    with installed(EXAMPLE, tmp_path / "site"):
        yield file


def test_a_driver_of_another_package_makes_machines(pool: Path, tmp_path: Path) -> None:
    assert registry.names() == ["generic", "lab", "pool", "vagrant"]
    store = Store(tmp_path / "store")
    (tmp_path / "key").write_text("private")
    options = {"file": str(pool), "ssh-key": str(tmp_path / "key")}
    for name in ("h1", "h2"):
        machine = asyncio.run(make(store, add(store, name, "pool", options)))
        assert asyncio.run(host_of(store, machine).state()) is State.RUNNING
    first = store.get("h1")
    assert (first.target.user, first.target.host, first.target.key) == ("admin", "10.0.0.1", "id")
    assert first.api == "10.0.0.1:2376"
    third = add(store, "h3", "pool", options)
    with pytest.raises(SwarmError, match="no host of"):
        asyncio.run(make(store, third))
    failed = store.get("h3")
    assert (failed.phase, failed.step) == (Phase.FAILED, "create")
    asyncio.run(driver_of(store, store.get("h2")).remove("h2"))
    assert asyncio.run(make(store, failed)).target.host == "10.0.0.2", "it goes on"


def test_its_options_are_flags_and_variables(pool: Path) -> None:
    seen: list[tuple[Mapping[str, Any], dict[str, Any]]] = []

    @click.command()
    @driver_flags
    @click.pass_context
    def command(ctx: click.Context, /, driver: str, **params: object) -> None:
        seen.append(chosen_options(ctx, driver, params))

    run = CliRunner().invoke
    assert "--pool-file" in run(command, ["--help"]).output
    assert (
        run(command, ["-d", "pool"], env={"POOL_FILE": "x", "GENERIC_SSH_USER": "u"}).exit_code == 0
    )
    assert seen.pop() == ({"file": "x", "ssh-key": None}, {})
    run(
        command, ["--generic-ip-address", "a", "--generic-ssh-jump", "b", "--generic-ssh-port", "2"]
    )
    options, rest = seen.pop()
    assert rest == {}
    assert {k: v for k, v in options.items() if v is not None} == {
        "ip-address": "a",
        "ssh-jump": ("b",),
        "ssh-port": 2,
    }
    wrong = run(command, ["--pool-file", "x"])
    assert isinstance(wrong.exception, SwarmError)
    assert "is of another driver" in str(wrong.exception)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise OSError('no disk')", "OSError: no disk"),
        ("POOL = 7", "AttributeError"),
        (
            "class POOL:\n    name, help, has_power, options, driver = 'pond', '', 0, (), 0",
            "'pond'",
        ),
    ],
)
def test_a_broken_package_is_told_and_disturbs_nobody(
    tmp_path: Path, code: str, words: str
) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    site.mkdir()
    (source / "pyproject.toml").write_text((EXAMPLE / "pyproject.toml").read_text())
    (source / "swarm_driver_pool.py").write_text(code)
    with installed(source, site):
        found, failed = registry.kinds()
        assert sorted(found) == ["generic", "lab", "vagrant"]
        with pytest.raises(SwarmError, match="swarm-driver-pool is broken") as caught:
            registry.kind("pool")
    assert caught.value.code is Code.UNAVAILABLE
    assert words in str(failed["pool"])


def test_nobody_takes_the_name_of_one_of_ours(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    site.mkdir()
    text = (EXAMPLE / "pyproject.toml").read_text().replace("pool = ", "generic = ")
    (source / "pyproject.toml").write_text(text)
    with installed(source, site):
        assert registry.names() == ["generic", "lab", "vagrant"]
        assert registry.kind("generic").help == "a host that is there already, by its SSH server"


def test_a_driver_that_nobody_has() -> None:
    with pytest.raises(SwarmError, match="known are: generic, lab, vagrant"):
        registry.kind("aws")
