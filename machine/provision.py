"""Makes hosts nodes: looks, judges, then works through the steps that have something to do.

Everything may be cut off and done again. Knows nothing of swarms, but that a host is not taken
apart while it is in one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from api.errors import Code, SwarmError
from hostkit.clock import Clock, wall
from machine import preflight
from machine.distribution.own import Distribution, given, own
from machine.facts import look as facts_look
from machine.facts.facts import Facts
from machine.layout import FOLDERS, SETTINGS, UNIT
from machine.manifest import DAMAGED, PATH
from machine.provisioning import LONG, Change, Problem, Tell, Wanted
from machine.remote import Remote
from machine.removing import take_away
from machine.returning import go_back
from machine.steps import compose
from machine.steps.look import look
from machine.steps.seen import Seen
from machine.steps.step import Step, StepError, Work
from machine.succession import await_turn


@dataclass(frozen=True)
class _Plan:
    """Steps that have something to do, each with what that is."""

    seen: Seen
    due: Sequence[tuple[Step, Change]]


class Installer:
    """The provisioner. `who`: what journals on the hosts call the operator."""

    def __init__(
        self, who: str, *, clock: Clock = wall, carried: Callable[[], Distribution] = own
    ) -> None:
        """`carried` gives the distribution that is installed unless a wheel is named."""
        self._who = who
        self._clock = clock
        self._carried = carried

    async def facts(self, remote: Remote) -> Facts:
        """What the host is and has; changes nothing."""
        return await facts_look.look(remote, self._clock)

    async def last_operator(self, remote: Remote) -> str:
        """Who installed the host last, as its journal tells; "" if nobody did."""
        log = (await look(remote, ())).manifest.log
        return log[-1].who if log else ""

    async def problems(self, remote: Remote, wanted: Wanted) -> Sequence[Problem]:
        """Preflight: changes nothing."""
        return preflight.judge(await self.facts(remote), wanted)

    async def changes(self, remote: Remote, wanted: Wanted) -> Sequence[Change]:
        """What `apply` would do, in its order; empty: the host is as wanted. Changes nothing."""
        plan = await self._plan(remote, await self.facts(remote), wanted)
        return [change for _, change in plan.due]

    async def apply(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        """Does it, step by step, each written to the host's journal; returns what was done.

        Goes on where an earlier run was cut off. SwarmError names the step that failed; REFUSED
        with every problem that has to be solved first, before anything was changed.
        """
        return await self._through(remote, wanted, tell, lambda step: True)

    async def prepare(self, remote: Remote, wanted: Wanted, tell: Tell) -> Sequence[Change]:
        """Of `apply` what takes long and touches nothing that runs: packages, and the version."""
        return await self._through(remote, wanted, tell, _takes_long)

    async def _through(
        self, remote: Remote, wanted: Wanted, tell: Tell, chosen: Callable[[Step], bool]
    ) -> Sequence[Change]:
        """Works through those chosen steps that have something to do."""
        await await_turn(remote, tell)
        tell("looking at the host")
        facts = await self.facts(remote)
        plan = await self._plan(remote, facts, wanted)
        due = [each for each in plan.due if chosen(each[0])]
        if not due:
            return []
        problems = preflight.judge(facts, wanted)
        refuse(remote.name, problems)
        for problem in problems:
            tell(f"warning: {problem.what}. Remedy: {problem.remedy}")
        work = self._work(remote, plan.seen, tell, compose.folders_for(wanted))
        if plan.seen.damage:
            tell(f"putting aside {PATH}, which cannot be read: what is there counts as the host's")
            await remote.write(DAMAGED, plan.seen.damage, mode=0o600)
        for step, change in due:
            tell(f"{change.kind.value} {change.what}")
            await _carry_out(work, step, change)
        return work.changes

    async def roll_back(self, remote: Remote, tell: Tell) -> str:
        """Makes the version before the present one the present one; returns it. REFUSED if none."""
        await await_turn(remote, tell)
        seen = await look(remote, [SETTINGS, UNIT])
        return await go_back(self._work(remote, seen, tell))

    async def remove(self, remote: Remote, tell: Tell, *, force: bool = False) -> None:
        """Takes from the host all that `apply` brought; what was there before stays.

        REFUSED while the host is, or may be, in a swarm, which has to be told that it goes.
        `force`: tells it that first, and goes on also where swarmd does not answer.
        """
        await await_turn(remote, tell)
        seen = await look(remote, FOLDERS)
        if seen.damage:
            raise SwarmError(
                Code.REFUSED,
                f"it is not known what of {remote.name} is ours",
                why=f"{PATH} there cannot be read",
                remedy="provision it first, which begins another one; packages and files of before "
                "then stay",
            )
        await take_away(self._work(remote, seen, tell), force=force)

    async def _plan(self, remote: Remote, facts: Facts, wanted: Wanted) -> _Plan:
        distribution = given(wanted.wheel) if wanted.wheel else self._carried()
        steps = compose.compose(facts, wanted, distribution)
        seen = await look(remote, compose.paths(steps, compose.folders_for(wanted)))
        return _Plan(
            seen, [(step, change) for step in steps if (change := step.change(seen)) is not None]
        )

    def _work(self, remote: Remote, seen: Seen, tell: Tell, folders: Sequence[str] = ()) -> Work:
        """`folders`: those that become ours if they are not there, or empty."""
        book = seen.manifest.with_folders(
            [each for each in folders if each not in seen.places],
            [each for each in folders if seen.is_empty(each)],
        )
        return Work(remote, book, seen, tell, self._who, self._clock)


def _takes_long(step: Step) -> bool:
    return step.name in LONG


async def _carry_out(work: Work, step: Step, change: Change) -> None:
    try:
        await work.begin(step.name)
        await step.apply(work)
        await work.end(change)
    except SwarmError as error:
        raise StepError(work.remote.name, step.name, error) from error


def refuse(host: str, problems: Sequence[Problem]) -> None:
    """REFUSED with all problems that are fatal, if any is."""
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        raise SwarmError(
            Code.REFUSED,
            f"{host} cannot be a node yet",
            why="; ".join(problem.what for problem in fatal),
            remedy="; ".join(dict.fromkeys(problem.remedy for problem in fatal)),
        )
