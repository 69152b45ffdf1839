"""Raft groups under faults, a million events in all: every invariant holds after every one of them,
and each group comes to life when it is healed.

A seed that breaks something is shown with the end of its transcript; it then belongs into
tests/sim/regressions, one file per seed: the words of its `make sim` line, then what it was about.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.sim.raft.runner import Verdict, run
from tests.sim.raft.settings import Settings, faults_of, parse_words, settings_of, without
from tests.sim.raft.transcript import Transcript

WORKERS = 2
EVENTS = 1_000_000
STEPS = 14_300
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.txt"))
MIXES = {
    "all": without(),
    "network": faults_of("drop,delay,duplicate,partition,oneway,transfer,clocks,pause"),
    "disks": without("members", "oneway", "partition"),
    "members": faults_of("members,kill,partition,transfer,drop,snapshot,slow"),
    "crashes": faults_of("kill,power,sync,fsync,full,rot,partition,transfer"),
}
SIZES = range(1, 8)
AT_LEAST = {
    "elections": 700,
    "snapshots installed": 120,
    "changes applied": 1_800,
    "changes refused": 50,
    "power cuts": 400,
    "kills": 1_200,
    "failed disks": 300,
    "damage found": 25,
    "entries overwritten": 40,
    "snapshots cut": 40,
    "writes": 35_000,
    "reads": 6_000,
}
"""What the million events must contain, some way below what they do: a tame world finds nothing."""

_totals: Counter[str] = Counter()


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as workers:
        yield workers


def seeds_of(mix: str, size: int) -> list[Settings]:
    """This mix's and size's share of all events; some on sealed disks, some with the real store,
    half of them with leaders that are slow to tell of commits.
    """
    runs = -(-EVENTS // (STEPS * len(MIXES) * len(SIZES)))
    first = 1_000 * size + 100 * list(MIXES).index(mix)
    return [
        Settings(
            seed=seed,
            steps=STEPS,
            nodes=size,
            faults=MIXES[mix],
            machine="store" if seed % 5 == 1 else "chain",
            sealed=seed % 7 == 2,
            lazy=seed % 2 == 1,
        )
        for seed in range(first, first + runs)
    ]


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_breaks(mix: str, size: int, pool: Executor) -> None:
    for verdict in pool.map(run, seeds_of(mix, size)):
        assert verdict.violation is None, verdict.report()
        _totals.update(verdict.counts)
        _totals["events"] += verdict.events


@pytest.mark.parametrize("size", SIZES)
def test_without_faults_the_first_leader_stays(size: int) -> None:
    verdict = run(Settings(seed=size, steps=3_000, nodes=size, faults=faults_of("none")))
    assert verdict.violation is None, verdict.report()
    assert verdict.counts["elections"] == 1
    assert verdict.counts["writes"] > 50


def test_the_storms_were_storms() -> None:
    """Runs after the others of this module; each of them adds to the totals."""
    if _totals["events"] < EVENTS:
        pytest.fail(f"only {_totals['events']} events: run this module as a whole")
    tame = {name: _totals[name] for name, least in AT_LEAST.items() if _totals[name] < least}
    assert not tame, f"too few of {tame}, in all {_totals}"


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_broke_once_holds(path: Path) -> None:
    words = path.read_text(encoding="utf-8").splitlines()[0].split()
    verdict = run(settings_of(parse_words(words), 0))
    assert verdict.violation is None, verdict.report()


@pytest.mark.parametrize("machine", ["chain", "store"])
def test_a_seed_is_a_run(machine: str) -> None:
    """The same one, to the byte."""
    settings = Settings(seed=5, steps=4_000, nodes=3, machine=machine)
    first, second = whole_run(settings), whole_run(settings)
    assert first.sum == second.sum
    assert first.events == second.events >= settings.steps


def test_seeds_differ() -> None:
    sums = {whole_run(Settings(seed=seed, steps=500)).sum for seed in range(8)}
    assert len(sums) == 8


def whole_run(settings: Settings) -> Verdict:
    verdict = run(settings, transcript=Transcript(whole=True))
    assert verdict.violation is None, verdict.report()
    return verdict
