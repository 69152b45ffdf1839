"""Carries a plan out before the operator's eyes: shows it, asks, works, and tells how it ended."""

import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import click

from api.errors import Code, SwarmError
from machine.steps.step import StepError
from machine.swarm.actions import Init, Install, Join, Plan, Uninstall
from machine.swarm.execute import Executor
from machine.swarm.lock import Lock
from machine.swarm.outcome import Outcome
from machine.swarm.seen import Seen
from machine.swarm.wanted import HostWanted
from swarmctl.cli.clusters import plan_text, registering
from swarmctl.cli.clusters.between import obstacles
from swarmctl.cli.clusters.progress import shown
from swarmctl.cli.clusters.session import Session
from swarmctl.cli.failures import INTERRUPTED, tell

_FEW = 30


@dataclass(frozen=True)
class Talk:
    """How the command speaks with the operator."""

    progress: str = "auto"
    full: bool = False
    yes: bool = False
    message: str = ""  # what for, told to whoever finds the hosts locked


def show(plan: Plan, talk: Talk) -> None:
    """Prints the plan, and raises REFUSED if it must not be carried out."""
    for line in plan_text.remarks(plan):
        click.echo(line, err=True)
    for line in plan_text.lines(plan, full=talk.full):
        click.echo(line, err=talk.progress == "json")
    if plan.refusals:
        count = len(plan.refusals)
        raise SwarmError(
            Code.REFUSED,
            "nothing was changed",
            why="a reason against it is above" if count == 1 else f"{count} reasons are above",
        )


async def confirm(talk: Talk, question: str) -> None:
    """Returns if the operator says yes; click.Abort if not, REFUSED where nobody can be asked."""
    if talk.yes:
        return
    if not sys.stdin.isatty():
        raise SwarmError(Code.REFUSED, "nobody can be asked whether to do this", remedy="say --yes")
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    if (await _line()).strip().lower() not in ("y", "yes"):
        raise click.Abort


async def _line() -> str:
    """A line of the terminal; the loop goes on meanwhile, and the lock is renewed."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def came() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sys.stdin, came)
    try:
        await ready
        return sys.stdin.readline()
    finally:
        loop.remove_reader(sys.stdin)


async def work(session: Session, doing: str, talk: Talk, make: Callable[[Seen], Plan]) -> Plan:
    """Makes a plan under the locks, so that nobody else changes what was seen, and carries it out.

    `doing`: as "upgrade", for whoever comes meanwhile.
    """
    lock = session.lock(f"{doing} of {session.wanted.name}", talk.message)
    with held_here(session, f"working on it ({doing} of {session.wanted.name})"):
        async with lock.held():
            seen = await session.look()
            made = await _warned(session, make(seen))
            show(made, talk)
            registering.settle(session.store, seen)
            if not made.is_empty:
                await confirm(talk, "Do this?")
                end(await carry_out(session, made, seen, lock, talk), made)
            return made


async def _warned(session: Session, plan: Plan) -> Plan:
    """With what joining nodes will meet. Of many hosts `machine check` tells, for it takes long."""
    joins = any(isinstance(each, Init | Join) for each in plan.actions())
    if not joins or len(session.remotes) > _FEW:
        return plan
    found = tuple(map(str, await obstacles(session)))
    return dataclasses.replace(plan, warnings=(*plan.warnings, *found))


async def carry_out(session: Session, plan: Plan, seen: Seen, lock: Lock, talk: Talk) -> Outcome:
    """Does it, under the lock that is held already."""
    installed = {each.host for each in plan.actions() if isinstance(each, Install)}
    for name in sorted(installed):
        _register(session, session.wanted.hosts[name], seen)
    with shown(talk.progress, plan) as report:
        executor = Executor(
            session.hands(seen), report, together=session.means.together, guard=lock.make_sure
        )
        running = asyncio.create_task(executor.run(plan))
        with _interrupts(executor, running):
            await asyncio.wait((running,))
    if not running.cancelled():
        running.result()
    _note(session, seen, installed, executor.outcome)
    return executor.outcome


def end(outcome: Outcome, plan: Plan) -> None:
    """Tells what failed and how far it came, and ends the command with the code for it."""
    for error in outcome.failures.values():
        tell(error)
    for host in outcome.undone:
        click.echo(f"{host} is back at the version that it ran before.", err=True)
    if not outcome.was_stopped and not outcome.failures:
        return
    for line in plan_text.standing(plan, outcome):
        click.echo(line, err=True)
    click.echo("The same command goes on from here.", err=True)
    raise click.exceptions.Exit(INTERRUPTED if outcome.was_stopped else 1)


def _register(session: Session, host: HostWanted, seen: Seen) -> None:
    """New hosts; one that somebody else installed stays with whose authority it trusts."""
    if seen.hosts[host.name].is_installed and not session.store.has(host.name):
        return
    wanted = session.install(host, seen.hosts[host.name].version)
    registering.register(session.store, host, wanted.version if wanted else "")


def _note(session: Session, seen: Seen, installed: Collection[str], outcome: Outcome) -> None:
    """What has come of hosts, in the operator's store; of what was not begun nothing."""
    for each in outcome.done:
        if isinstance(each, Install):
            host = session.wanted.hosts[each.host]
            wanted = session.install(host, seen.hosts[each.host].version)
            registering.ready(session.store, each.host, wanted.version if wanted else "")
        elif isinstance(each, Uninstall):
            registering.forget(session.store, each.host)
    for each in outcome.busy:
        if isinstance(each, Install):
            registering.cut_off(session.store, each.host)
    for name, error in outcome.failures.items():
        if name in installed:
            step = error.step if isinstance(error, StepError) else "apply"
            registering.failed(session.store, name, step, error)


@contextlib.contextmanager
def _interrupts(executor: Executor, running: asyncio.Task[Outcome]) -> Iterator[None]:
    """The first Ctrl-C lets what runs come to its end; the second cuts it off."""
    loop = asyncio.get_running_loop()
    again = False

    def interrupted() -> None:
        nonlocal again
        if again:
            running.cancel()
            return
        again = True
        executor.stop()
        click.echo("Stopping once the present actions have ended; again to cut them off.", err=True)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextlib.contextmanager
def held_here(session: Session, doing: str) -> Iterator[None]:
    """The records of the hosts in this operator's store, against another command of his own."""
    with contextlib.ExitStack() as held:
        for name in sorted(session.remotes):
            held.enter_context(session.store.locked(name, doing))
        yield
