"""The log on a disk that loses power: before every operation, and before any by chance.

What is recovered must be the last state that was acknowledged, or one of those that were asked for
after it, whole and in order.
"""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manager.raft.durable.keyring import FileKeys, Keys
from manager.raft.durable.wal import Recovered, Wal
from tests.support.log_model import Model, Work, model_of, state_of
from tests.support.sim_disk import FATES, Dice, Fate, PowerCut, SimDisk

STEPS = 40

CutShort = tuple[SimDisk, list[Model]]
"""A disk that lost power, and the states that may be on it."""


@pytest.fixture(scope="module", params=["sealed", "clear"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Keys | None:
    folder: Path = tmp_path_factory.mktemp("keys")
    return FileKeys(folder / "dek") if request.param == "sealed" else None


def open_wal(disk: SimDisk, keys: Keys | None) -> tuple[Wal, Recovered]:
    return Wal.open(disk, cluster_id="c", node_id="n", keys=keys, segment_bytes=500)


def live(disk: SimDisk, keys: Keys | None, possible: list[Model], chance: Random) -> list[Model]:
    """One life of a node, up to the power cut or the end; returns the states it may leave."""
    try:
        wal, recovered = open_wal(disk, keys)
    except PowerCut:
        return possible
    assert state_of(recovered) in [model.state() for model in possible]
    work = Work(wal, model_of(recovered), chance)
    try:
        for _ in range(STEPS):
            work.one()
    except PowerCut:
        pass
    return work.possible


def check_left(disk: SimDisk, keys: Keys | None, possible: list[Model]) -> None:
    _, recovered = open_wal(disk, keys)
    assert state_of(recovered) in [model.state() for model in possible]


@pytest.fixture(scope="module")
def cut_short(keys: Keys | None) -> list[CutShort]:
    """One life, cut before each of its operations; every fate of the disk begins with these."""
    whole = SimDisk()
    live(whole, keys, [Model()], Random(1))
    assert {step.split()[0] for step in whole.log} >= {"append", "fdatasync", "rename", "remove"}
    return [one_cut(cut_at, keys, 1) for cut_at in range(whole.operations)]


@pytest.fixture(scope="module")
def cut_at_times(keys: Keys | None) -> list[CutShort]:
    """Another life, cut at some of its operations."""
    return [one_cut(cut_at, keys, 2) for cut_at in range(20, 140, 7)]


def one_cut(cut_at: int, keys: Keys | None, seed: int) -> CutShort:
    disk = SimDisk(cut_at=cut_at)
    return disk, live(disk, keys, [Model()], Random(seed))


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: type(fate).__name__)
def test_a_power_cut_before_every_operation_loses_nothing(
    fate: Fate, keys: Keys | None, cut_short: list[CutShort]
) -> None:
    for disk, possible in cut_short:
        check_left(disk.after_power_cut(fate), keys, possible)


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: type(fate).__name__)
def test_a_power_cut_during_recovery_loses_nothing(
    fate: Fate, keys: Keys | None, cut_at_times: list[CutShort]
) -> None:
    for disk, possible in cut_at_times:
        for second_cut in range(12):
            again = disk.after_power_cut(fate)
            again.cut_at = second_cut
            try:
                _, recovered = open_wal(again, keys)
            except PowerCut:
                left = possible
            else:
                left = [model_of(recovered)]
            check_left(again.after_power_cut(fate), keys, left)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 120), min_size=1, max_size=4),
    kills=st.sets(st.integers(0, 3)),
)
def test_many_lives_lose_nothing(
    seed: int, cuts: list[int], kills: set[int], keys: Keys | None
) -> None:
    """Power cuts with a random part of the unsynced bytes and names left, and killed processes."""
    chance = Random(seed)
    disk, possible = SimDisk(), [Model()]
    for life, cut_at in enumerate(cuts):
        disk.cut_at = cut_at
        possible = live(disk, keys, possible, chance)
        disk = disk.after_kill() if life in kills else disk.after_power_cut(Dice(chance))
    check_left(disk, keys, possible)


def test_what_a_killed_process_left_in_the_cache_is_durable_once_recovered(
    keys: Keys | None,
) -> None:
    for cut_at in range(8, 80):
        disk = SimDisk(cut_at=cut_at)
        live(disk, keys, [Model()], Random(3))
        restarted = disk.after_kill()
        _, recovered = open_wal(restarted, keys)
        for fate in FATES:
            check_left(restarted.after_power_cut(fate), keys, [model_of(recovered)])
