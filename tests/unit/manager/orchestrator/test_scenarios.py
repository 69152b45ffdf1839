"""Each scenario of tests/scenarios/orchestrator gives the transcript that was recorded.

`REWRITE_SCENARIOS=1` records what it gives now instead; the difference is for a person to read.
"""

import os
from pathlib import Path

import pytest

from tests.support.orchestrator_script.player import play
from tests.support.orchestrator_script.stage import Stage
from tests.support.raft_script.script import ScriptError, parse, write

FOLDER = Path(__file__).parents[3] / "scenarios" / "orchestrator"
FILES = sorted(FOLDER.glob("*.txt"))


def played(text: str, *, forgetful: bool = False) -> str:
    blocks = parse(text)
    return write(blocks, play(blocks, Stage(forgetful=forgetful)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    found = played(text)
    if os.environ.get("REWRITE_SCENARIOS"):
        path.write_text(found)
    else:
        assert found.splitlines() == text.splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_change_of_leader_after_every_batch_changes_nothing(path: Path) -> None:
    text = path.read_text()
    assert played(text, forgetful=True).splitlines() == text.splitlines()


def test_each_scenario_says_what_it_shows() -> None:
    assert FILES
    assert [path.name for path in FILES if not path.read_text().startswith("# ")] == []


@pytest.mark.parametrize(
    "text",
    [
        "dance\n----",
        "service web colour=red\n----",
        "service web update-order=\n----",
        "report web.1 running\n----",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises((ScriptError, KeyError)):
        played(text)
