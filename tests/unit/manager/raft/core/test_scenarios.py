"""Each scenario of tests/scenarios/raft gives the transcript that was recorded.

`REWRITE_SCENARIOS=1` records what it gives now instead; the difference is for a person to read.
"""

import os
from pathlib import Path

import pytest

from tests.support.raft_script.player import play
from tests.support.raft_script.script import RULE, Command, ScriptError, parse, write

FOLDER = Path(__file__).parents[4] / "scenarios" / "raft"
FILES = sorted(FOLDER.glob("*.txt"))


def played(text: str) -> str:
    blocks = parse(text)
    return write(blocks, play(blocks))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    found = played(text)
    if os.environ.get("REWRITE_SCENARIOS"):
        path.write_text(found)
    else:
        assert found.splitlines() == text.splitlines()


def test_each_scenario_says_what_it_shows() -> None:
    assert FILES
    assert [path.name for path in FILES if not path.read_text().startswith("# ")] == []


def test_a_wrong_transcript_is_told() -> None:
    text = "nodes 1\n----\n1 leader term=7\n"
    assert played(text) != text
    assert played(played(text)) == played(text)


@pytest.mark.parametrize(
    "text",
    [
        "nodes 1",
        "dance 1\n----",
        "nodes 1 colour=red\n----",
        "propose 2 x\n----",
        "tick all n=1 n=2\n----",
        "nodes 1\npersist 1\n----",
        "nodes 1\ntimeout 1 ticks=99\nrestart 1\n----",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ScriptError):
        played(text)


def test_a_command_is_read() -> None:
    command = Command.parse('propose 1 "two words" n=3')
    assert command == Command("propose", ("1", "two words"), {"n": "3"})
    assert RULE not in command.words
