"""`context`: which swarm is spoken to, from the flags down to the local socket."""

import json
from pathlib import Path

import pytest

from api.v1 import control_pb2
from swarmctl.cli import configuration, contexts
from swarmctl.cli.client import DEFAULT_HOST, Client
from swarmctl.cli.contexts import Context
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon

swarmctl = CommandLine()


def test_the_life_of_a_context() -> None:
    assert swarmctl("context", "show").out == "default\n"
    made = swarmctl("context", "create", "prod", "--host", "tcp://a:1", "--host", "tcp://b:2")
    assert (made.code, made.out) == (0, "prod\n")
    assert swarmctl("context", "use", "prod").out == "prod\n"
    check_golden("cli/context_ls.txt", swarmctl("context", "ls").out)
    assert swarmctl("context", "ls", "-q").out == "default\nprod\n"
    assert swarmctl("context", "ls", "-q", "-f", "name=pr", "-f", "current=true").out == "prod\n"
    assert json.loads(swarmctl("context", "inspect").out) == [
        {"Name": "prod", "Hosts": ["tcp://a:1", "tcp://b:2"], "CertPath": ""}
    ]
    again = swarmctl("context", "create", "prod", "--host", "tcp://a:1")
    assert (again.code, again.err) == (
        1,
        "swarmctl: there is a context prod already. Choose another name\n",
    )
    removed = swarmctl("context", "rm", "gone", "prod")
    assert (removed.code, removed.out) == (1, "prod\n")
    assert "there is no context gone" in removed.err
    assert swarmctl("context", "show").out == "default\n"


@pytest.mark.parametrize(
    "args",
    [("create", "bad name", "--host", "tcp://a"), ("create", "a", "--host", "http://a")],
)
def test_what_is_not_well_formed(args: tuple[str, ...]) -> None:
    result = swarmctl("context", *args)
    assert (result.code, "internal" in result.err) == (2, False)


def test_what_is_said_to_do_about_a_damaged_context_can_be_done() -> None:
    for name in ("good", "bad"):
        contexts.save(Context(name, ("tcp://a:1",)))
    (configuration.folder() / "contexts/bad.json").write_text("{")
    listed = swarmctl("context", "ls")
    assert "remove it with swarmctl context rm bad, and create it again" in listed.err.lower()
    # Another one can be made all the same, and this one not by chance.
    assert swarmctl("context", "create", "third", "--host", "tcp://a:1").code == 0
    assert swarmctl("context", "create", "bad", "--host", "tcp://a:1").code == 1
    assert swarmctl("context", "rm", "bad").out == "bad\n"
    assert swarmctl("context", "create", "bad", "--host", "tcp://a:1").code == 0
    assert swarmctl("context", "ls", "-q").out.split() == ["default", "bad", "good", "third"]


def test_the_default_cannot_be_removed_or_made() -> None:
    assert swarmctl("context", "rm", "default").code == 1
    assert swarmctl("context", "create", "default", "--host", "tcp://a").code == 1


@pytest.mark.parametrize(
    ("settings", "hosts", "cert_dir"),
    [
        ({}, ("tcp://current:1",), "/current"),
        ({"context": "other"}, ("tcp://other:1",), "/other"),
        ({"context": "default"}, (DEFAULT_HOST,), ""),
        ({"host": "tcp://flag", "context": "other"}, ("tcp://flag",), ""),
        ({"host": "tcp://flag", "cert_path": "/c"}, ("tcp://flag",), "/c"),
        ({"context": "other", "cert_path": "/c"}, ("tcp://other:1",), "/c"),
    ],
)
def test_what_wins(settings: dict[str, str], hosts: tuple[str, ...], cert_dir: str) -> None:
    for name in ("current", "other"):
        contexts.save(Context(name, (f"tcp://{name}:1",), f"/{name}"))
    contexts.use("current")
    target = Client(**settings).target  # type: ignore[arg-type]
    assert (target.hosts, target.cert_dir) == (hosts, cert_dir)


def test_a_contexts_hosts_are_tried_in_turn(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    gone = f"unix://{tmp_path}/gone.sock"
    contexts.save(Context("two", (gone, daemon.address)))
    contexts.save(Context("none", (gone, gone)))
    assert swarmctl("--context", "two", "service", "ls").code == 0
    result = swarmctl("--context", "none", "service", "ls")
    assert result.code == 4
    assert result.err.count("No such file or directory") == 2
    assert "no manager of context none answers" in result.err


def test_environment_twins(daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    contexts.save(Context("here", (daemon.address,)))
    monkeypatch.setenv("SWARM_CONTEXT", "here")
    assert swarmctl("service", "ls").code == 0
    monkeypatch.setenv("SWARM_HOST", "unix:///nowhere")
    assert swarmctl("service", "ls").code == 4
    monkeypatch.setenv("SWARM_HOST", daemon.address)
    assert swarmctl("service", "ls").code == 0


def test_who_names_a_context_means_it(
    daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("ListServices", control_pb2.ListServicesResponse())
    contexts.save(Context("here", (daemon.address,)))
    monkeypatch.setenv("SWARM_HOST", "unix:///nowhere")
    monkeypatch.setenv("SWARM_CERT_PATH", "/nowhere")
    assert swarmctl("--context", "here", "service", "ls").code == 0
    assert swarmctl("--context", "here", "-H", "unix:///nowhere", "service", "ls").code == 4
