"""The verbs that install, as far as they come without a host: what is refused, and what stays."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine.provisioning import Change, Kind, Problem
from swarmctl.cli.commands.machine import work
from swarmctl.cli.commands.machine.drawing import Events, Lines, Picture, drawing
from tests.support.command_line import CommandLine

swarmctl = CommandLine()


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWARM_MACHINE_STORAGE_PATH", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "store"


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A port of this host that nobody listens at, and nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield str(held.getsockname()[1])


def create(port: str, *words: str) -> list[str]:
    address = ["--generic-ip-address", "127.0.0.1", "--generic-ssh-port", port]
    return ["machine", "create", *address, "--generic-ssh-no-agent", *words]


def test_a_create_that_failed_is_gone_on_with_or_cleaned_up(closed_port: str) -> None:
    failed = swarmctl(*create(closed_port, "h1", "h2"))
    assert failed.code == 4
    assert failed.err.count("refused") == 2, failed.err
    listed = swarmctl("machine", "ls", "--format", "{{.Name}} {{.Phase}}")
    assert listed.out == "h1 failed\nh2 failed\n"
    again = swarmctl(*create(closed_port, "h1"))
    assert again.code == 1
    assert "swarmctl machine provision h1" in again.err
    assert swarmctl("machine", "provision", "h1").code == 4
    assert swarmctl("machine", "rm", "-y", "--cleanup", "h1").code == 4  # it is not reached
    forgotten = swarmctl("machine", "rm", "-y", "--cleanup", "--force", "h1", "h2")
    assert (forgotten.code, forgotten.out) == (0, "h1\nh2\n"), forgotten.err
    assert swarmctl("machine", "ls", "-q").out == ""
    gone = swarmctl("machine", "rm", "h1")  # nobody is asked about what is not there
    assert gone.code == 1
    assert "there is no machine h1" in gone.err


def test_a_dry_run_records_nothing(closed_port: str, store: Path) -> None:
    assert swarmctl(*create(closed_port, "--dry-run", "h1")).code == 4
    assert not store.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--setting", "log_level=loud"], "one of debug"),
        (["--setting", "no_such=1"], "no setting no_such"),
        (["--setting", "wireguard_port=0"], "number from 1"),
        (["--label", "=x"], "KEY=VALUE"),
        (["--distribution", "pyproject.toml"], "not our distribution"),
        (["--driver", "cloud"], "no driver cloud"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_recorded(
    words: list[str], said: str, closed_port: str, store: Path
) -> None:
    refused = swarmctl(*create(closed_port, *words, "h1"))
    assert refused.code in (1, 2)
    assert said in refused.err
    assert not store.exists()


def test_a_machine_that_is_not_there_is_told() -> None:
    for verb in ("provision", "rollback", "upgrade", "check"):
        told = swarmctl("machine", verb, "h9")
        assert (told.code, "there is no machine h9" in told.err) == (1, True), verb


def test_events_are_a_line_of_json_each(capsys: pytest.CaptureFixture[str]) -> None:
    with drawing("json") as drawn:
        assert isinstance(drawn, Events)
        drawn.teller("h1")("+ install crun")
        drawn.teller("h1")("  Unpacking crun")
        drawn.finish("h1", "done", "runs 1")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(e["stage"], e["host"], e["text"]) for e in events] == [
        ("said", "h1", "+ install crun"),
        ("detail", "h1", "Unpacking crun"),
        ("done", "h1", "runs 1"),
    ]


def test_a_log_leaves_out_what_programs_say(capsys: pytest.CaptureFixture[str]) -> None:
    with drawing("plain") as drawn:
        assert isinstance(drawn, Lines)
        drawn.teller("h1")("+ install crun")
        drawn.teller("h1")("  Unpacking crun")
        drawn.finish("h1", "done", "runs 1")
        drawn.finish("h2", "failed", "told elsewhere")
    assert capsys.readouterr().err == "h1: + install crun\nh1: runs 1\n"


def test_a_picture_has_a_line_for_each_machine_at_work() -> None:
    picture = Picture()
    picture.teller("h2")("making")
    picture.teller("h1")("installing")
    picture.teller("h1")("  Unpacking crun")
    assert picture.rows() == ["h1: installing  Unpacking crun", "h2: making"]
    picture.finish("h2", "done", "runs 1")
    assert picture.rows() == ["h1: installing  Unpacking crun"]


def test_plans_and_problems_are_read_by_people(capsys: pytest.CaptureFixture[str]) -> None:
    changes = [
        Change(Kind.ADD, "packages", "install crun"),
        Change(Kind.RESTART, "service", "restart swarmd", "the settings changed"),
    ]
    problems = [Problem("port 2377/tcp is taken", "stop it"), Problem("slow", "wait", fatal=False)]
    work.show_plan("h1", problems, changes)
    shown = capsys.readouterr()
    assert shown.out == "h1: + install crun\nh1: ! restart swarmd (the settings changed)\n"
    assert shown.err == (
        "h1: port 2377/tcp is taken. Remedy: stop it\nh1: warning: slow. Remedy: wait\n"
    )
    assert work.summary(changes, "1.0") == "2 changes, runs 1.0, restarted"
    assert work.summary([], "1.0") == "no changes"
    assert work.plan_lines([]) == ["no changes"]


@pytest.mark.root
def test_a_dry_run_on_this_host_changes_nothing_and_tells_what_is_in_the_way() -> None:
    shown = swarmctl("system", "install", "--dry-run", "--setting", "log_level=debug")
    assert shown.code == 0, shown.err
    assert "/etc/swarm/swarmd.toml" in shown.out
    assert not Path("/etc/swarm/machine.json").exists()


def test_installing_and_uninstalling_exclude_one_another() -> None:
    assert swarmctl("system", "install", "--dry-run", "--uninstall").code == 2
