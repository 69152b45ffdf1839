"""Completion: candidates come out of the very protocol that shells speak, and never late."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.errors import SwarmError
from api.v1 import control_pb2, host_pb2, objects_pb2
from swarmctl.cli import completion, contexts
from swarmctl.cli.client import Client
from swarmctl.cli.completion import LIMIT
from tests.support import builders
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import SILENCE, ScriptedDaemon

SHELLS = ("bash", "zsh", "fish")
PATIENT = """
from swarmctl.cli import completion
completion.LIMIT = 60.0
from swarmctl.__main__ import main
main()
"""
"""The program, with time for a daemon that is as slow as this machine."""


@pytest.fixture(autouse=True)
def _known(daemon: ScriptedDaemon) -> None:
    services = [builders.service(name) for name in ("web", "worker", "db")]
    daemon.on("ListServices", control_pb2.ListServicesResponse(services=services))
    nodes = [builders.node("host1"), builders.node("host2")]
    daemon.on("ListNodes", control_pb2.ListNodesResponse(nodes=nodes))
    images = host_pb2.ListImagesResponse(images=[host_pb2.Image(references=["app:1", "app:2"])])
    daemon.on("ListImages", images)
    secret, config = objects_pb2.Secret(), objects_pb2.Config()
    secret.spec.annotations.name, config.spec.annotations.name = "password", "app.conf"
    daemon.on("ListSecrets", control_pb2.ListSecretsResponse(secrets=[secret]))
    daemon.on("ListConfigs", control_pb2.ListConfigsResponse(configs=[config]))


def candidates(shell: str, address: str, *words: str, in_time: bool = False) -> list[str]:
    """The candidates for the last word; `in_time`: as far as they come before a user would wait."""
    line = ["swarmctl", "-H", address, *words]
    environment = {**os.environ, "_SWARMCTL_COMPLETE": f"{shell}_complete"}
    if shell == "fish":
        environment |= {"COMP_WORDS": " ".join(line[:-1]), "COMP_CWORD": line[-1]}
    else:
        environment |= {"COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1)}
    done = subprocess.run(
        CommandLine().command() if in_time else [sys.executable, "-c", PATIENT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stderr == ""
    return values(shell, done.stdout)


def values(shell: str, text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line]
    if shell == "zsh":  # three lines each: kind, value, help
        return lines[1::3]
    # kind,value and for fish a tab and help
    return [line.split(",", 1)[1].partition("\t")[0] for line in lines]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_names_and_words(shell: str, daemon: ScriptedDaemon) -> None:
    assert candidates(shell, daemon.address, "service", "ps", "w") == ["web", "worker"]
    assert candidates(shell, daemon.address, "service", "in") == ["inspect"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("ser",), ["service"]),
        (("service", "rm", "web", "w"), ["worker"]),
        (("service", "scale", "w"), ["web=", "worker="]),
        (("service", "update", "--restart-condition", "o"), ["on-failure"]),
        (("service", "update", "--limit-m"), ["--limit-memory"]),
        (("service", "create", "--mode", "g"), ["global", "global-job"]),
        (("service", "logs", "d"), ["db"]),
        (("node", "update", "--availability", "d"), ["drain"]),
        (("node", "ps", "host"), ["host1", "host2"]),
        (("image", "rm", "app"), ["app:1", "app:2"]),
        (("secret", "rm", "p"), ["password"]),
        (("config", "inspect", "a"), ["app.conf"]),
        (("swarm", "join-token", "m"), ["manager"]),
        (("completion", "z"), ["zsh"]),
        (("service", "rm", "nothing"), []),
    ],
)
def test_what_is_completed(
    daemon: ScriptedDaemon, words: tuple[str, ...], found: list[str]
) -> None:
    assert candidates("bash", daemon.address, *words) == found


def test_contexts_are_completed(daemon: ScriptedDaemon) -> None:
    contexts.save(contexts.Context("production", ("unix:///x",)))
    assert candidates("bash", daemon.address, "context", "use", "p") == ["production"]
    assert candidates("bash", daemon.address, "--context", "d") == ["default"]


def test_nobody_there_is_silence(tmp_path: Path) -> None:
    assert candidates("bash", f"unix://{tmp_path}/none.sock", "service", "ps", "w") == []
    assert candidates("bash", "nonsense", "service", "ps", "w") == []
    assert candidates("bash", "tcp://127.0.0.1:1", "service", "ps", "w") == []


def test_a_daemon_that_hangs_is_left_in_time(daemon: ScriptedDaemon) -> None:
    daemon.on("ListServices", SILENCE)
    assert candidates("bash", daemon.address, "service", "ps", "w", in_time=True) == []
    # It was the client's own limit that ended the call.
    client = Client(host=daemon.address, timeout=LIMIT / 2, retry=False)
    with pytest.raises(SwarmError, match=r"no answer within 0\.15 s"):
        completion._services(client)
    client.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_code_for_a_shell_is_accepted_by_it(
    shell: str, cli: CommandLine, tmp_path: Path
) -> None:
    result = cli("completion", shell)
    assert (result.code, result.err) == (0, "")
    assert f"_SWARMCTL_COMPLETE={shell}_complete" in result.out
    program = shutil.which(shell)
    if program is not None:
        script = tmp_path / "completion"
        script.write_text(result.out)
        subprocess.run([program, "-n", str(script)], check=True)
    assert cli("completion", "tcsh").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_prompt_shows_the_active_machine(shell: str) -> None:
    source = CommandLine()("completion", shell).out
    function = source[source.index("__swarmctl_ps1() {") :]
    ask = '[ -z "$(__swarmctl_ps1)" ]; SWARM_MACHINE_NAME=h1; __swarmctl_ps1; __swarmctl_ps1 "<%s>"'
    done = subprocess.run(
        ["bash", "-euc", function + ask], capture_output=True, text=True, check=True
    )
    assert done.stdout == " [h1]<h1>"
