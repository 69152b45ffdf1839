"""Executor: what goes on, what stops and what goes back when something fails."""

import asyncio
from collections.abc import Collection

from api.errors import Code, SwarmError
from machine.provisioning import Tell
from machine.swarm.actions import (
    Action,
    AwaitReady,
    Drain,
    Install,
    Join,
    Lane,
    Phase,
    Plan,
    Restore,
    Revert,
    Run,
)
from machine.swarm.events import Event, Stage
from machine.swarm.execute import Executor
from machine.swarm.outcome import Outcome
from tests.support.unguarded import unguarded


class Hands:
    """Notes what is done, in order; fails at actions of these hosts and types."""

    def __init__(self, fails: Collection[tuple[str, type[Action]]] = (), leads: str = "") -> None:
        self.done: list[tuple[str, str]] = []
        self._fails = fails
        self._leads = leads

    async def do(self, action: Action, tell: Tell) -> None:
        await asyncio.sleep(0)
        tell("working")
        if (action.host, type(action)) in self._fails:
            raise SwarmError(Code.UNAVAILABLE, f"{action.host} is gone")
        self.done.append((action.host, type(action).__name__))

    async def leader(self) -> str:
        return self._leads


def run(hands: Hands, *phases: Phase, together: int = 4) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    executor = Executor(hands, events.append, together=together, guard=unguarded)
    return asyncio.run(executor.run(Plan(phases))), events


def upgrade(host: str) -> Lane:
    return Lane(
        host,
        (Drain(host, is_passing=True), Install(host), AwaitReady(host), Restore(host)),
        undo=(Revert(host, "1"), AwaitReady(host), Restore(host)),
    )


def joins(*hosts: str) -> tuple[Lane, ...]:
    return tuple(Lane(host, (Install(host), Join(host))) for host in hosts)


def test_a_worker_that_fails_stops_no_other() -> None:
    hands = Hands([("w1", Install)])
    workers = Phase("workers", joins("w1", "w2", "w3"), together=0, stops=False)
    outcome, events = run(hands, workers, Phase("after", joins("w4")))
    assert list(outcome.failures) == ["w1"]
    assert {host for host, _ in hands.done} == {"w2", "w3", "w4"}
    assert [e.host for e in events if e.stage is Stage.FAILED] == ["w1"]


def test_a_manager_that_fails_stops_all_that_comes_after() -> None:
    hands = Hands([("m2", Join)])
    outcome, events = run(hands, Phase("m", joins("m1", "m2", "m3")), Phase("w", joins("w1")))
    assert list(outcome.failures) == ["m2"]
    assert {host for host, _ in hands.done} == {"m1", "m2"}
    assert [e.host for e in events if e.stage is Stage.SKIPPED] == ["m3", "w1"]


def test_nothing_is_taken_away_after_a_failure() -> None:
    hands = Hands([("w1", Join)])
    removals = Phase("removals", joins("w9"), needs_all=True)
    run(hands, Phase("workers", joins("w1", "w2"), together=0, stops=False), removals)
    assert "w9" not in {host for host, _ in hands.done}


def test_a_host_that_failed_gets_no_further_lane_and_counts_as_failed_in_later_phases() -> None:
    for stops in (True, False):
        hands = Hands([("w1", Join)])
        workers = Phase("workers", joins("w1", "w2"), together=0, stops=False)
        run(hands, workers, Phase("more", (upgrade("w1"), upgrade("w2")), stops=stops))
        assert ("w1", "Drain") not in hands.done
        assert (("w2", "Restore") in hands.done) == (not stops)


def test_an_upgrade_that_does_not_come_up_goes_back_and_stops_the_roll() -> None:
    hands = Hands()
    real = hands.do
    tries = iter([True])

    async def do(action: Action, tell: Tell) -> None:
        if isinstance(action, AwaitReady) and next(tries, False):
            raise SwarmError(Code.DEADLINE, "not ready")
        await real(action, tell)

    hands.do = do  # type: ignore[method-assign]
    outcome, _ = run(hands, Phase("versions", (upgrade("w1"), upgrade("w2"))))
    assert [what for _, what in hands.done] == [
        *("Drain", "Install", "Revert", "AwaitReady", "Restore")
    ]
    assert outcome.undone == ["w1"]


def test_what_was_not_installed_is_not_gone_back_from() -> None:
    hands = Hands([("w1", Drain)])
    run(hands, Phase("versions", (upgrade("w1"),)))
    assert hands.done == [("w1", "Restore")]


def test_the_leader_comes_last() -> None:
    hands = Hands(leads="m1")
    run(hands, Phase("managers", joins("m1", "m2", "m3"), leader_last=True))
    assert [host for host, what in hands.done if what == "Join"] == ["m2", "m3", "m1"]


def test_so_many_work_together_and_no_more() -> None:
    for together, most in ((2, 2), (0, 3)):
        busy = peak = 0

        class Counting(Hands):
            async def do(self, action: Action, tell: Tell) -> None:
                nonlocal busy, peak
                busy += 1
                peak = max(peak, busy)
                await asyncio.sleep(0)
                busy -= 1

        lanes = joins("a", "b", "c", "d", "e")
        run(Counting(), Phase("all", lanes, together=together), together=3)
        assert peak == most


def test_a_run_that_is_told_to_stop_ends_what_it_does_and_begins_no_more() -> None:
    events: list[Event] = []

    async def scene() -> Outcome:
        executor = Executor(hands, events.append, together=1, guard=unguarded)

        class Stopping(Hands):
            async def do(self, action: Action, tell: Tell) -> None:
                executor.stop()
                await super().do(action, tell)

        executor._hands = hands_that_stop = Stopping()
        outcome = await executor.run(Plan((Phase("all", joins("a", "b")), Phase("x", joins("c")))))
        assert hands_that_stop.done == [("a", "Install")]
        return outcome

    hands = Hands()
    outcome = asyncio.run(scene())
    assert outcome.was_stopped
    assert [e.host for e in events if e.stage is Stage.SKIPPED] == ["a", "b", "c"]


def test_without_the_lock_nothing_is_done() -> None:
    hands = Hands()

    async def lost(host: str) -> None:
        raise SwarmError(Code.CONFLICT, "the lock is lost")

    executor = Executor(hands, lambda _: None, together=1, guard=lost)
    outcome = asyncio.run(executor.run(Plan((Phase("all", joins("a", "b")),))))
    assert list(outcome.failures) == ["a"]
    assert hands.done == []


class Stopping(Hands):
    """Is told to stop while it does one action of a host, as by Ctrl-C."""

    def __init__(self, at: tuple[str, type[Action]], *, cuts: bool = False) -> None:
        super().__init__()
        self._at = at
        self._cuts = cuts
        self.reached = asyncio.Event()
        self.executor: Executor

    async def do(self, action: Action, tell: Tell) -> None:
        if (action.host, type(action)) == self._at:
            self.executor.stop()
            self.reached.set()
            if self._cuts:
                await asyncio.Event().wait()
        await super().do(action, tell)


def stopped(hands: Stopping, *phases: Phase) -> Outcome:
    async def work() -> None:
        hands.executor = Executor(hands, lambda _: None, together=1, guard=unguarded)
        running = asyncio.create_task(hands.executor.run(Plan(phases)))
        await hands.reached.wait()
        if hands._cuts:
            running.cancel()
        await asyncio.wait((running,))
        assert running.cancelled() == hands._cuts

    asyncio.run(work())
    assert hands.executor.outcome.was_stopped
    return hands.executor.outcome


def test_what_runs_comes_to_its_end_and_nothing_else_is_begun() -> None:
    hands = Stopping(("w1", Install))
    outcome = stopped(hands, Phase("w", joins("w1", "w2")), Phase("x", joins("w3")))
    assert hands.done == [("w1", "Install")]
    assert outcome.done == [Install("w1")]
    assert (outcome.busy, outcome.failures) == ([], {})


def test_a_node_that_was_drained_in_passing_is_not_left_so() -> None:
    hands = Stopping(("w1", Drain))
    outcome = stopped(hands, Phase("versions", (upgrade("w1"), upgrade("w2"))))
    assert hands.done == [("w1", "Drain"), ("w1", "Restore")]
    assert outcome.undone == []
    hands = Stopping(("w1", Install))
    stopped(hands, Phase("versions", (upgrade("w1"),)))
    assert [what for _, what in hands.done] == ["Drain", "Install", "Restore"]


def test_what_was_cut_off_in_the_middle_is_known() -> None:
    hands = Stopping(("w1", Join), cuts=True)
    outcome = stopped(hands, Phase("w", joins("w1", "w2")))
    assert (outcome.done, outcome.busy) == ([Install("w1")], [Join("w1")])


def hooked(host: str) -> Lane:
    plain = upgrade(host)
    before, after = Run(host, command="in"), Run(host, command="out", is_after=True)
    return Lane(host, (before, *plain.actions, after), undo=(*plain.undo, after))


def test_hooks_of_an_upgrade_that_fails() -> None:
    """Whatever the one before took away, the one after gives back."""
    drains, _ = run(hands := Hands(fails=[("w1", Drain)]), Phase("p", (hooked("w1"),)))
    assert [name for _, name in hands.done] == ["Run", "Restore", "Run"]
    assert "w1" in drains.failures
    run(hands := Hands(fails=[("w1", AwaitReady)]), Phase("p", (hooked("w1"),)))
    assert [name for _, name in hands.done] == ["Run", "Drain", "Install", "Revert"]


def test_a_hook_that_fails_before_an_upgrade_ends_it() -> None:
    outcome, _ = run(hands := Hands(fails=[("w1", Run)]), Phase("p", (hooked("w1"),)))
    assert [name for _, name in hands.done] == ["Restore"]
    assert "w1" in outcome.failures


class Hooking(Hands):
    """Notes hooks by their commands, and fails at those of these commands."""

    async def do(self, action: Action, tell: Tell) -> None:
        if isinstance(action, Run):
            if (action.command, Run) in self._fails:
                raise SwarmError(Code.REFUSED, f"{action.command} failed")
            self.done.append((action.host, action.command))
        else:
            await super().do(action, tell)


def ends(host: str, *commands: str) -> tuple[Run, ...]:
    return tuple(Run(host, command=each, is_after=True) for each in commands)


def test_a_hook_that_fails_after_an_upgrade_takes_nothing_back_and_stops_no_other() -> None:
    """Of two that fail the first is told."""
    lane = Lane("w1", (*upgrade("w1").actions, *ends("w1", "a", "b", "c")), upgrade("w1").undo)
    more = Phase("more", joins("w2"))
    outcome, _ = run(hands := Hooking(fails=[("a", Run), ("b", Run)]), Phase("p", (lane,)), more)
    assert [name for _, name in hands.done] == [
        *("Drain", "Install", "AwaitReady", "Restore"),
        "c",
    ]
    assert outcome.failures["w1"].what == "a failed"
    assert outcome.undone == []


def test_a_hook_that_fails_on_the_way_back_stops_no_other() -> None:
    plain = upgrade("w1")
    lane = Lane("w1", plain.actions, (*plain.undo[:1], *ends("w1", "a", "b")))
    outcome, _ = run(hands := Hooking([("w1", AwaitReady), ("a", Run)]), Phase("p", (lane,)))
    assert [name for _, name in hands.done] == ["Drain", "Install", "Revert", "b"]
    assert outcome.undone == ["w1"]
    assert set(ends("w1", "a", "b")) & set(outcome.done) == set(ends("w1", "b"))


def test_hooks_after_a_work_that_was_stopped_are_run() -> None:
    """What is done already is not done again, so no other run would come to them."""
    for action, done in (
        (Run, ["Run", "Run"]),
        (Install, ["Run", "Drain", "Install", "Restore", "Run"]),
        (Restore, ["Run", "Drain", "Install", "AwaitReady", "Restore", "Run"]),
    ):
        hands = Stopping(("w1", action))
        outcome = stopped(hands, Phase("p", (hooked("w1"), hooked("w2"))))
        assert hands.done == [("w1", each) for each in done]
        assert outcome.failures == {}


def test_hooks_in_phases_that_a_stop_left_out_are_run_where_work_was_begun() -> None:
    """But for those around an upgrade that was not begun."""
    first = Phase("installation", (Lane("w1", (Install("w1"),)),))
    join = Phase("join", tuple(Lane(h, (Join(h), *ends(h, "out"))) for h in ("w1", "w2")))
    hands = Stopping(("w1", Install))
    outcome = stopped(hands, first, Phase("upgrade", (hooked("w1"),)), join)
    assert hands.done == [("w1", "Install"), ("w1", "Run")]
    assert outcome.done == [Install("w1"), *ends("w1", "out")]
