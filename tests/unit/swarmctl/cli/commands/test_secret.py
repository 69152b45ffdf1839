"""`secret` and `config`: the same verbs for both, and what they ask of the daemon."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon

NOUNS = ("secret", "config")


def made(noun: str, number: int, name: str) -> Any:
    kind = objects_pb2.Secret if noun == "secret" else objects_pb2.Config
    file: Any = kind(id=f"{number}abcdefghijklmnopqrstuvwx"[:25])
    file.meta.created_at.CopyFrom(timestamp(0))
    file.meta.updated_at.CopyFrom(timestamp(1_800_000_000))
    file.spec.annotations.name = name
    file.spec.annotations.labels.update({"tier": "back", "env": "dev"})
    if noun == "config":
        file.spec.data = b"colour = red"
    return file


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    for noun in NOUNS:
        word = noun.capitalize()
        daemon.on(f"Create{word}", made(noun, 1, "app"))
        daemon.on(f"Get{word}", made(noun, 1, "app"))
        daemon.on(f"Remove{word}", control_pb2.RemoveResponse(id="1"))
    secrets = [made("secret", 1, "app10"), made("secret", 2, "app9")]
    daemon.on("ListSecrets", control_pb2.ListSecretsResponse(secrets=secrets))
    configs = [made("config", 1, "app")]
    daemon.on("ListConfigs", control_pb2.ListConfigsResponse(configs=configs))


@pytest.mark.parametrize("noun", NOUNS)
def test_create_from_a_file(
    cli: CommandLine, daemon: ScriptedDaemon, noun: str, tmp_path: Path
) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"\0\xffbytes")
    flags = ("-l", "a=b", "--label", "c", "--template-driver", "golang")
    done = cli(noun, "create", *flags, "app", str(file))
    assert (done.code, done.out) == (0, made(noun, 1, "app").id + "\n")
    [request] = daemon.asked(f"Create{noun.capitalize()}")
    assert (request.spec.annotations.name, request.spec.data) == ("app", b"\0\xffbytes")
    assert dict(request.spec.annotations.labels) == {"a": "b", "c": ""}
    assert request.spec.template_driver == "golang"
    assert request.request_id


def test_create_from_stdin_reads_no_more_than_can_be_taken(
    cli: CommandLine, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = io.TextIOWrapper(io.BytesIO(b"x" * (2 << 20)))
    monkeypatch.setattr(sys, "stdin", source)
    assert cli("secret", "create", "app", "-").code == 0
    [request] = daemon.asked("CreateSecret")
    assert len(request.spec.data) == 512_000


def test_a_file_that_is_not_there(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    assert cli("secret", "create", "app", "/none").code == 2
    assert daemon.asked("CreateSecret") == []


def test_lists(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    form = "{{.Name}} {{.Labels}} {{.UpdatedAt}}"
    lines = cli("secret", "ls", "--format", form).out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["app9", "env=dev,tier=back"],
        ["app10", "env=dev,tier=back"],
    ]
    assert cli("config", "ls", "-q").out == made("config", 1, "app").id + "\n"
    assert cli("config", "ls").words[0] == ["ID", "NAME", "CREATED", "UPDATED"]
    assert cli("secret", "ls", "--format", "{{.Data}}").code == 2


def test_filters_are_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    cli("config", "ls", "-f", "id=1", "-f", "name=a", "-f", "name=b", "-f", "label=x=y")
    expected = control_pb2.ListFilesRequest(ids=["1"], names=["a", "b"], labels=["x=y"])
    assert daemon.asked("ListConfigs") == [expected]
    assert cli("config", "ls", "-f", "mode=x").code == 2


@pytest.mark.parametrize("noun", NOUNS)
def test_inspect(cli: CommandLine, daemon: ScriptedDaemon, noun: str) -> None:
    (found,) = json.loads(cli(noun, "inspect", "app").out)
    assert found["Spec"]["Labels"] == {"env": "dev", "tier": "back"}
    assert ("Data" in found["Spec"]) == (noun == "config")
    assert cli(noun, "inspect", "-f", "{{.Spec.Name}}", "app").out == "app\n"
    check_golden(f"cli/{noun}_inspect_pretty.txt", cli(noun, "inspect", "--pretty", "app").out)


@pytest.mark.parametrize("noun", NOUNS)
def test_rm_goes_on_after_a_refusal(cli: CommandLine, daemon: ScriptedDaemon, noun: str) -> None:
    refused = SwarmError(Code.REFUSED, "in use", why="by service web")
    daemon.on(f"Remove{noun.capitalize()}", refused, control_pb2.RemoveResponse())
    done = cli(noun, "rm", "a", "b")
    assert (done.code, done.out) == (1, "b\n")
    assert "by service web" in done.err
    keys = [request.key for request in daemon.asked(f"Remove{noun.capitalize()}")]
    assert keys == ["a", "b"]
