"""Secrets and configs: files in containers, and nowhere else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.living_files import contents

pytestmark = pytest.mark.cluster

MARK = "tell-nobody-4711"
SHOW = f"""\
stat -c '%a %u %g %n' /run/secrets/* /etc/app/run.sh /app.conf
tr - + </run/secrets/db; cat /app.conf; echo
cat /who
/etc/app/run.sh
for file in /run/secrets/db /app.conf; do echo x 2>/dev/null >>$file || echo read-only; done
{OBEDIENT}
"""
SHOWN = [
    "400 1234 5678 /run/secrets/db",
    "444 0 0 /run/secrets/plain",
    "555 0 0 /etc/app/run.sh",
    "444 0 0 /app.conf",
    f"{MARK.replace('-', '+')}colour=red",
    "web.1 blue x",
    "it runs",
    "read-only",
    "read-only",
]


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config"), workers=1) as made:
        made.ctl("node", "update", "--availability", "drain", "m1")
        yield made


def _make(swarm: Swarm, noun: str, name: str, text: str, folder: Path, *flags: str) -> None:
    file = folder / name
    file.write_text(text)
    swarm.ctl(noun, "create", *flags, name, str(file))


def _in_memory(swarm: Swarm) -> list[str]:
    """The folders of secrets on the worker, by its table of mounts."""
    mounts = swarm.inside("w1", "cat", "/proc/self/mounts").lines
    place = f"tmpfs {swarm.host('w1').paths.run}/files/"
    return [line for line in mounts if line.startswith(place)]


def _on_disk(swarm: Swarm, mark: str) -> list[str]:
    """The files of both hosts that hold the mark. What is mounted in a host is not seen here."""
    folders = [swarm.host(name).paths.directory for name in swarm.hosts()]
    is_held = {
        path: mark.encode() in content for folder in folders for path, content in contents(folder)
    }
    assert any(path.name.startswith("agent.db") for path in is_held)
    return [str(path) for path, holds in is_held.items() if holds]


def test_files_have_their_place_owner_and_mode_and_are_on_no_disk(
    swarm: Swarm, tmp_path: Path
) -> None:
    _make(swarm, "secret", "password", MARK, tmp_path)
    _make(swarm, "secret", "plain", "x", tmp_path)
    _make(swarm, "config", "app.conf", "colour=red", tmp_path)
    _make(swarm, "config", "run.sh", "#!/bin/sh\necho it runs\n", tmp_path)
    who = '{{.Service.Name}}.{{.Task.Slot}} {{env "COLOUR"}} {{secret "plain"}}\n'
    _make(swarm, "config", "who", who, tmp_path, "--template-driver", "golang")
    flags = [
        *("--env", "COLOUR=blue", "--config", "who"),
        *("--secret", "source=password,target=db,uid=1234,gid=5678,mode=0400"),
        *("--secret", "plain"),
        *("--config", "app.conf"),
        *("--config", "source=run.sh,target=/etc/app/run.sh,mode=0555"),
    ]
    swarm.create("web", *flags, TOOLS, "sh", "-c", SHOW)
    swarm.until(lambda: len(swarm.logs("web")) >= len(SHOWN), "it has written")
    assert swarm.logs("web") == SHOWN
    (folder,) = _in_memory(swarm)
    assert "nosuid,nodev,noexec" in folder
    assert _on_disk(swarm, MARK) == []
    shown = swarm.ctl("secret", "inspect", "password").out + swarm.ctl("secret", "ls").out
    assert MARK not in shown
    assert swarm.ctl("config", "inspect", "-f", "{{.Spec.Data}}", "app.conf").lines == [
        "colour=red"
    ]

    # The container goes on while its daemon is away, with what it had.
    (task,) = swarm.tasks("web")
    swarm.kill_daemon("w1")
    swarm.start_daemon("w1")
    swarm.until(lambda: swarm.tasks("web")[0].runs, "it is known to run")
    assert [each.id for each in swarm.tasks("web")] == [task.id]
    assert _in_memory(swarm) == [folder]

    swarm.ctl("service", "rm", "web")
    swarm.until(lambda: not _in_memory(swarm), "they are gone with their task")
    swarm.ctl("secret", "rm", "password", "plain")
    swarm.ctl("config", "rm", "app.conf", "run.sh", "who")
    assert swarm.ctl("secret", "ls", "-q").lines == []


def test_one_in_use_is_not_removed_and_an_update_puts_another_in_its_place(
    swarm: Swarm, tmp_path: Path
) -> None:
    _make(swarm, "secret", "v1", "first", tmp_path)
    _make(swarm, "secret", "v2", "second", tmp_path)
    _make(swarm, "config", "largest", "x" * (1000 << 10), tmp_path)
    script = f"cat /run/secrets/key; wc -c </largest; {OBEDIENT}"
    flags = ("--secret", "source=v1,target=key", "--config", "largest")
    swarm.create("web", *flags, TOOLS, "sh", "-c", script)
    refused = swarm.ctl("secret", "rm", "v1", code=1).err
    assert "secret v1 is in use" in refused
    assert "by service web" in refused
    unknown = swarm.ctl("service", "update", "--secret-add", "v3", "web", code=1).err
    assert "task.container.secrets[1].source: there is no secret 'v3'" in unknown

    rotation = ("--secret-rm", "v1", "--secret-add", "source=v2,target=key")
    swarm.ctl("service", "update", *rotation, "web")
    (running,) = [task for task in swarm.tasks("web") if task.runs]
    swarm.until(lambda: swarm.logs(running.id) == ["second1024000"], "the new task has the new one")
    swarm.ctl("secret", "rm", "v1")
    (spec,) = json.loads(swarm.ctl("service", "inspect", "web").out)
    (reference,) = spec["Spec"]["Task"]["Container"]["Secrets"]
    assert (reference["Source"], reference["Target"]) == ("v2", "key")
    swarm.ctl("service", "rm", "web")
    swarm.ctl("secret", "rm", "v2")
    swarm.ctl("config", "rm", "largest")


def test_a_worker_shows_no_secret_to_anybody(swarm: Swarm, tmp_path: Path) -> None:
    _make(swarm, "config", "other.conf", "colour=red", tmp_path)
    for words in (("secret", "ls"), ("config", "ls"), ("config", "inspect", "other.conf")):
        assert "worker" in swarm.ctl(*words, at="w1", code=1).err
    swarm.ctl("config", "rm", "other.conf")
