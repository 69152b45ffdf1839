"""The whole swarm over Raft under random faults: invariants hold, and it comes to what was asked.

`python -m tests.sim.control SEED=... STEPS=...` has one run again, and shows what came before.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from manager.control import volumes
from tests.sim.control.runner import run
from tests.sim.control.settings import FAULTS, Settings, settings_of
from tests.sim.raft.plant import swap

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(1, 13))
def test_faults_break_nothing_and_pass(seed: int) -> None:
    verdict = run(Settings(seed, 25_000))
    assert verdict.violation is None, verdict.report()
    assert verdict.commands > 50


@pytest.mark.parametrize("seed", range(1, 7))
def test_never_two_nodes_may_write_to_a_volume(seed: int) -> None:
    verdict = run(Settings(seed, 30_000, volumes=True))
    assert verdict.violation is None, verdict.report()


def test_a_volume_that_is_forgotten_while_it_is_being_made_is_found() -> None:
    """Removed at once, as if its driver had nothing to do with it yet."""
    forgotten = swap(volumes, "has_to_be_deleted", lambda found, drivers: found.HasField("made"))
    verdict = run(Settings(7, 12_000, volumes=True), planted=forgotten)
    assert verdict.violation is not None
    assert "which nobody knows" in str(verdict.violation)


@pytest.mark.parametrize("managers", [1, 3, 5])
def test_without_faults_nothing_happens_that_nobody_asked_for(managers: int) -> None:
    verdict = run(Settings(7, 12_000, managers, frozenset()))
    assert verdict.violation is None, verdict.report()


def test_a_seed_has_the_same_run_whatever_the_order_of_sets() -> None:
    reports = [_report_of_a_process(hash_seed) for hash_seed in ("1", "2")]
    assert reports[0] == reports[1]


def _report_of_a_process(hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.sim.control", "SEED=5", "STEPS=12000"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_settings_say_how_to_have_the_run_again() -> None:
    settings = Settings(9, 1_000, 3, frozenset({"kill", "power"}))
    words = dict(word.split("=") for word in settings.command().split()[3:])
    assert settings_of(words, seed=0) == settings
    assert settings_of({}, seed=4) == Settings(4)
    assert settings_of({"FAULTS": "none"}, seed=4).faults == frozenset()
    with pytest.raises(ValueError, match="no such fault: rain"):
        settings_of({"FAULTS": "kill,rain"}, seed=4)
    assert FAULTS.keys() == Settings(4).faults
