"""Carries out a plan: phases in order, lanes of one side by side, actions of a lane in order.

Knows nothing of hosts: `Hands` does what an action says. A lane that fails ends its phase or only
itself, as the phase says; what was upgraded and does not come up goes back first. Nothing is
remembered: a plan made afterwards goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from api.errors import SwarmError
from machine.provisioning import Tell
from machine.swarm.actions import (
    Action,
    Drain,
    Install,
    Lane,
    Phase,
    Plan,
    Restore,
    Revert,
    Run,
    is_hook_after,
)
from machine.swarm.events import Event, Report, Stage
from machine.swarm.outcome import Outcome


class Hands(Protocol):
    """What acts."""

    async def do(self, action: Action, tell: Tell) -> None:
        """Carries an action out, again if need be; SwarmError if it cannot be."""
        ...

    async def leader(self) -> str:
        """The host whose manager leads; "" if that is none of the file's."""
        ...


class Executor:
    """Of one run. `guard`, asked before each action on a host, raises if the lock is lost.

    `outcome` is there at any time, also of a run that was cut off.
    """

    def __init__(
        self,
        hands: Hands,
        report: Report,
        *,
        together: int,
        guard: Callable[[str], Awaitable[None]],
    ) -> None:
        self._hands = hands
        self._report = report
        self._together = together
        self._guard = guard
        self.outcome = Outcome()
        self._stopping = False

    def stop(self) -> None:
        """Lets the actions that run come to their end, and begins no other, but for those that
        give back what was taken for them.
        """
        self._stopping = self.outcome.was_stopped = True

    async def run(self, plan: Plan) -> Outcome:
        """Carries the plan out as far as it gets; never raises for what a lane does."""
        failed = self.outcome.failures
        halted = False
        for phase in plan.phases:
            if halted or self._stopping or (phase.needs_all and failed):
                self._skip(phase.title, phase.lanes)
                continue
            self._report(Event(Stage.PHASE, phase.title))
            halted = not await self._phase(phase) and phase.stops
        if self._stopping:
            await self._give_back(plan)
        return self.outcome

    async def _phase(self, phase: Phase) -> bool:
        """Whether all of it was done. What failed before is passed over, and is not done either."""
        waiting, broken = list(phase.lanes), asyncio.Event()

        async def work() -> None:
            while waiting and not self._stopping and not (phase.stops and broken.is_set()):
                lane = waiting.pop(await self._next(phase, waiting))
                if lane.host in self.outcome.failures:
                    self._skip(phase.title, [lane])
                    broken.set()
                elif not await self._lane(phase.title, lane):
                    broken.set()

        workers = min(phase.together or self._together, len(waiting))
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
        self._skip(phase.title, waiting)
        return not broken.is_set()

    async def _next(self, phase: Phase, waiting: Sequence[Lane]) -> int:
        """Which lane comes next: the first, but for that of the leader."""
        if not phase.leader_last or len(waiting) == 1:
            return 0
        try:
            leader = await self._hands.leader()
        except SwarmError:
            return 0  # nobody leads now: then nobody hands over either
        return next((i for i, lane in enumerate(waiting) if lane.host != leader), 0)

    async def _lane(self, title: str, lane: Lane) -> bool:
        """Whether all of it was done. A hook after the work that fails keeps no other from it."""
        for index, action in enumerate(lane.actions):
            if self._stopping and not is_hook_after(action):
                self._report(Event(Stage.SKIPPED, title, lane.host, action.text))
                await self._restore(title, lane, index)
                return True
            error = await self._act(title, action, Stage.BEGUN)
            if error is None:
                continue
            self.outcome.failures.setdefault(lane.host, error)
            if not is_hook_after(action):
                await self._go_back(title, lane, index)
                return False
        return lane.host not in self.outcome.failures

    async def _go_back(self, title: str, lane: Lane, failed: int) -> None:
        steps = way_back(lane, failed)
        for action in steps:
            error = await self._act(title, action, Stage.BACK)
            if error is not None and not is_hook_after(action):
                return
        if any(isinstance(each, Revert) for each in steps):
            self.outcome.undone.append(lane.host)

    async def _restore(self, title: str, lane: Lane, next_one: int) -> None:
        """Gives a node that was drained in passing its tasks back."""
        begun = lane.actions[:next_one]
        if any(isinstance(each, Drain) and each.is_passing for each in begun):
            for action in (each for each in lane.undo if isinstance(each, Restore)):
                await self._act(title, action, Stage.BACK)

    async def _give_back(self, plan: Plan) -> None:
        """Runs the hooks after work that was begun and ended early: nobody comes soon for that, and
        another run may find nothing left to do with the host.
        """
        failed = set(self.outcome.failures)
        for phase in plan.phases:
            for lane in (each for each in phase.lanes if each.host not in failed):
                for hook in hooks_left(lane, self.outcome.done):
                    error = await self._act(phase.title, hook, Stage.BEGUN)
                    if error is not None:
                        self.outcome.failures.setdefault(lane.host, error)

    async def _act(self, title: str, action: Action, stage: Stage) -> SwarmError | None:
        def tell(line: str) -> None:
            self._report(Event(Stage.SAID, title, action.host, action.text, line))

        self._report(Event(stage, title, action.host, action.text))
        self.outcome.busy.append(action)
        try:
            await self._guard(action.host)
            await self._hands.do(action, tell)
        except SwarmError as error:
            self.outcome.busy.remove(action)
            self._report(Event(Stage.FAILED, title, action.host, action.text, str(error)))
            return error
        self.outcome.busy.remove(action)
        if stage is Stage.BEGUN or isinstance(action, Run):
            self.outcome.done.append(action)
        self._report(Event(Stage.DONE, title, action.host, action.text))
        return None

    def _skip(self, title: str, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            self._report(Event(Stage.SKIPPED, title, lane.host))


def hooks_left(lane: Lane, done: Sequence[Action]) -> tuple[Action, ...]:
    """The hooks after work with the lane's host that were not run.

    Those that the way back has too are about the lane alone, and are left if it was begun.
    """
    left = tuple(each for each in lane.actions if is_hook_after(each) and each not in done)
    if any(each in done for each in lane.actions):
        return left
    is_known = any(each.host == lane.host for each in done)
    return tuple(each for each in left if is_known and each not in lane.undo)


def way_back(lane: Lane, failed: int) -> tuple[Action, ...]:
    """What is undone after the action of that index failed: of versions only what was begun.

    What hooks did before is taken back by those after.
    """
    if any(isinstance(each, Install) for each in lane.actions[: failed + 1]):
        return lane.undo
    return tuple(each for each in lane.undo if isinstance(each, Restore | Run))
