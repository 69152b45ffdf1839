"""A locked swarm: a manager that was restarted waits for its key, while containers run on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine.drivers.lab import naming
from tests.support.cluster import OBEDIENT, SWARMCTL, TOOLS, Swarm, a_swarm

pytestmark = pytest.mark.cluster

COMMAND = (TOOLS, "sh", "-c", OBEDIENT)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=1) as made:
        yield made


def unlock(swarm: Swarm, key: str, *, at: str = "m1") -> subprocess.CompletedProcess[str]:
    """Pipes a key into `swarm unlock`, as an operator's script would."""
    return subprocess.run(
        [SWARMCTL, "--context", f"{swarm.name}/{at}", "swarm", "unlock"],
        input=f"{key}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=swarm.environment,
    )


def is_locked(swarm: Swarm) -> bool:
    return swarm.ctl("system", "info", "-f", "{{.Swarm.State}}").out == "locked\n"


def restart(swarm: Swarm) -> None:
    swarm.kill_daemon("m1")
    swarm.start_daemon("m1")


def test_a_swarm_is_locked_rotated_and_set_free_while_its_service_runs(swarm: Swarm) -> None:
    swarm.create("web", *COMMAND, replicas=2)
    before = swarm.on("web")
    assert "not locked" in swarm.ctl("swarm", "unlock-key", code=1).err

    said = swarm.ctl("swarm", "update", "--autolock").out
    key = swarm.ctl("swarm", "unlock-key", "-q").out.strip()
    assert f"\n    {key}\n" in said
    until_sealed(swarm, sealed=True)
    restart(swarm)
    assert is_locked(swarm)
    for words in (("service", "ls"), ("node", "ls"), ("swarm", "unlock-key")):
        refused = swarm.ctl(*words, code=1).err
        assert "this manager is locked" in refused
        assert "swarmctl swarm unlock" in refused
    assert swarm.on("web") == before, "containers run on"
    assert "does not fit" in unlock(swarm, "SWMKEY-1-" + "A" * 43).stderr
    assert is_locked(swarm)
    assert unlock(swarm, key).returncode == 0
    assert [task.id for task in swarm.until_runs("web", 2)]
    assert swarm.on("web") == before, "no task was replaced"

    text = key_file(swarm)
    swarm.ctl("swarm", "unlock-key", "--rotate")
    rotated = swarm.ctl("swarm", "unlock-key", "-q").out.strip()
    assert rotated != key
    swarm.until(lambda: key_file(swarm) != text, "the manager follows to the new key")
    restart(swarm)
    assert "does not fit" in unlock(swarm, key).stderr
    assert unlock(swarm, rotated).returncode == 0

    swarm.ctl("swarm", "update", "--autolock=false")
    until_sealed(swarm, sealed=False)
    restart(swarm)
    swarm.until_runs("web", 2)
    assert swarm.on("web") == before


def key_file(swarm: Swarm) -> str:
    return (swarm.host("m1").paths.state / "swarm" / "manager.key").read_text()


def until_sealed(swarm: Swarm, *, sealed: bool) -> None:
    word = " sealed " if sealed else " clear "
    swarm.until(lambda: word in key_file(swarm), f"the keys are{word}on the disk")


def test_a_swarm_that_is_locked_from_the_beginning(tmp_path: Path) -> None:
    with a_swarm(tmp_path, workers=0, up_only=True, name=f"k{os.getpid()}") as fresh:
        made = fresh.ctl("swarm", "init", "--autolock")
        (key,) = [line.strip() for line in made.lines if line.strip().startswith("SWMKEY-1-")]
        folder = naming.HostPaths(naming.DEFAULT_BASE, fresh.name, "m1").state / "swarm"
        assert b"-----BEGIN PRIVATE KEY" not in (folder / "node.key").read_bytes()
        fresh.until_node("m1", "Ready")  # its own agent has told its name
        restart(fresh)
        assert is_locked(fresh)
        assert "locked" in fresh.ctl("swarm", "leave", code=1).err
        assert unlock(fresh, key).returncode == 0
        assert list(fresh.nodes()) == ["m1"]
        restart(fresh)
        fresh.ctl("swarm", "leave", "--force")
        assert "inactive" in fresh.ctl("system", "info").out
