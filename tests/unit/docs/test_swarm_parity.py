"""The page on parity with Docker Swarm says what the commands do: no option is left out or made up,
and what it calls refused is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from api.errors import SwarmError
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.control.not_yet import _TABLE
from manager.control.services import check_service
from swarmctl.cli.root import swarmctl
from tests.support.command_line import CommandLine
from tests.support.scripted_daemon import ScriptedDaemon

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "swarm-parity.md"
NOUNS = ("swarm", "node", "service", "secret", "config", "network")
WORDS = {"same", "better", "less", "refused", "ours"}
DOCKERS = {
    "swarm init": 15,
    "swarm join": 5,
    "swarm join-token": 2,
    "swarm update": 7,
    "swarm ca": 7,
    "swarm unlock-key": 2,
    "swarm leave": 1,
    "node ls": 3,
    "node inspect": 2,
    "node ps": 5,
    "node rm": 1,
    "node update": 4,
    "service create": 75,
    "service update": 94,
    "service ls": 3,
    "service ps": 5,
    "service logs": 9,
    "service inspect": 2,
    "service rollback": 2,
    "service scale": 1,
    "secret create": 3,
    "secret inspect": 2,
    "secret ls": 3,
    "config create": 2,
    "config inspect": 2,
    "config ls": 3,
    "network create": 17,
    "network connect": 7,
    "network disconnect": 1,
    "network inspect": 2,
    "network ls": 4,
    "network prune": 2,
    "network rm": 1,
}
"""How many flags Docker's verb has (docker/cli 29.8, docs/reference/commandline); else none."""
NEEDED = {
    "swarm join": ("--token", "T", "10.0.0.1:2377"),
    "service create": ("--detach", "{}", "busybox"),
    "service update": ("--detach", "{}", "web"),
    "secret create": ("{}", "password", "-"),
    "network create": ("{}", "front"),
}
"""What a verb needs beside the flag in question, which stands at {} or else at the end."""
REFUSALS = r"No such option|not supported|leave --advertise-addr out"


@dataclass(frozen=True)
class Row:
    """One row of a table: under which verb, the flags or examples, and what becomes of them."""

    verb: str
    texts: tuple[str, ...]
    word: str

    @property
    def flags(self) -> set[str]:
        """The flags alone, without the values of examples."""
        return {text.split()[0] for text in self.texts}


def read_rows() -> Iterator[Row]:
    verb = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            verb = line.removeprefix("### ") if line.startswith("### ") else ""
        elif verb and line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 3, line
            yield Row(verb, tuple(re.findall("`([^`]+)`", cells[0])), cells[1])


def read_options() -> dict[str, set[str]]:
    found = {}
    with click.Context(swarmctl, info_name="swarmctl") as context:
        for noun in NOUNS:
            group = swarmctl.get_command(context, noun)
            assert isinstance(group, click.Group)
            for verb in group.list_commands(context):
                command = group.get_command(context, verb)
                assert command is not None
                options = [p for p in command.params if isinstance(p, click.Option)]
                found[f"{noun} {verb}"] = {o for p in options for o in (*p.opts, *p.secondary_opts)}
    return found


ROWS = tuple(read_rows())
OPTIONS = read_options()
REFUSED = [(row.verb, text) for row in ROWS if row.word == "refused" for text in row.texts]


def flags_of(verb: str, words: set[str]) -> set[str]:
    return {flag for row in ROWS if row.verb == verb and row.word in words for flag in row.flags}


def test_the_page_has_a_section_for_each_verb_and_no_other() -> None:
    headings = re.findall("^### (.+)$", PAGE.read_text(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == set(OPTIONS)
    assert {row.word for row in ROWS} == WORDS


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_is_under_its_verb_and_none_is_made_up(verb: str) -> None:
    assert OPTIONS[verb] <= flags_of(verb, WORDS)
    assert flags_of(verb, WORDS - {"refused"}) <= OPTIONS[verb]


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_flag_of_docker_is_accounted_for(verb: str) -> None:
    flags = flags_of(verb, WORDS - {"ours"})
    assert len([flag for flag in flags if flag.startswith("--")]) == DOCKERS.get(verb, 0)
    assert not flags & flags_of(verb, {"ours"})


def test_every_field_that_is_refused_is_on_the_page() -> None:
    named = {row.flag.split()[0] for row in _TABLE if row.flag}
    assert named <= flags_of("service create", {"refused"})


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """A command line to a daemon that takes any service a manager would take."""
    service = objects_pb2.Service(
        spec=specs_pb2.ServiceSpec(replicated=specs_pb2.ReplicatedMode(replicas=1))
    )
    service.spec.annotations.name, service.spec.task.container.image = "web", "busybox"
    with ScriptedDaemon(tmp_path) as daemon:
        daemon.on("CreateService", judged)
        daemon.on("GetService", service)
        daemon.on("UpdateService", judged)
        yield CommandLine("-H", daemon.address)


def judged(
    request: control_pb2.CreateServiceRequest | control_pb2.UpdateServiceRequest,
) -> objects_pb2.Service | SwarmError:
    try:
        check_service(request.spec)
    except SwarmError as error:
        return error
    return objects_pb2.Service(spec=request.spec)


def words_of(verb: str, example: str) -> list[str]:
    needed = NEEDED.get(verb, ("{}",))
    filled = [part for word in needed for part in (example.split() if word == "{}" else [word])]
    return [*verb.split(), *filled, *(() if "{}" in needed else example.split())]


@pytest.mark.parametrize(("verb", "example"), REFUSED)
def test_what_is_called_refused_is_refused(cli: CommandLine, verb: str, example: str) -> None:
    result = cli(*words_of(verb, example))
    assert result.code in (1, 2)
    assert re.search(REFUSALS, result.err), result.err


@pytest.mark.parametrize("verb", ["service create", "service update"])
def test_it_is_the_example_that_is_refused(cli: CommandLine, verb: str) -> None:
    for example in ("--network host", "--mount type=bind,source=/v,target=/v"):
        added = example.replace(" ", "-add ", 1) if verb == "service update" else example
        assert cli(*words_of(verb, added)).code == 0
