"""Looks at the networks of this node: when a manager asks, and from time to time by itself.

What it finds by itself it puts right at once, and remembers; asked, it changes nothing unless it is
told to. Decides nothing of its own: what is wrong is said by `survey`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from api.errors import SwarmError
from api.v1 import check_pb2, objects_pb2
from hostkit.clock import Clock
from overlay_net.check import ask, names, ping, reach
from overlay_net.check.finding import Finding
from overlay_net.obstacles.firewalls import Finding as Obstacle
from worker.data_path import DataPath
from worker.obstacle_watch import ObstacleWatch
from worker.redirects import Redirects
from worker.survey import Survey, digests

log = logging.getLogger(__name__)

T = TypeVar("T")
Report = check_pb2.NetworkCheckReport
Order = check_pb2.CheckOrder

EVERY = 30.0
"""Seconds between two looks of its own."""
AROUND_EVERY = 300.0
"""Seconds between two looks at other programs, whose rules and sockets may be very many."""
MOST_FINDINGS = 200
MOST_MENDED = 20
_MENDED_FOR = 3600.0
"""Seconds for which what was put right is told of."""
_SETTLE = 0.5
_MOST_SILENT = 3


class Thread(Protocol):
    """The one thread that touches the kernel."""

    async def __call__(self, function: Callable[[], T], /) -> T:
        """What the function answers."""


class NetworkChecks:
    """`data_path` gives the node's, None while it is in no swarm."""

    def __init__(
        self,
        thread: Thread,
        data_path: Callable[[], DataPath | None],
        redirects: Redirects,
        obstacles: ObstacleWatch,
        monotonic: Clock,
    ) -> None:
        self._thread = thread
        self._data_path = data_path
        self._redirects = redirects
        self._obstacles = obstacles
        self._monotonic = monotonic
        self._mended: deque[tuple[float, str]] = deque(maxlen=MOST_MENDED)
        self._one_at_a_time = asyncio.Lock()
        self._woken = asyncio.Event()
        self._look_around_at = 0.0

    def needs_more(self) -> None:
        """Networks need more of the host than before: what may be in their way is looked at."""
        self._woken.set()

    async def run(self, every: float) -> NoReturn:
        """Looks each `every` seconds, if that is not 0, until it is cancelled."""
        next_at = self._monotonic() + every
        while True:
            delay = max(0.0, next_at - self._monotonic()) if every else None
            try:
                async with asyncio.timeout(delay):
                    await self._woken.wait()
                self._woken.clear()
                await self._trying(self.look_around())
            except TimeoutError:
                await self._trying(self.heal())
                next_at = self._monotonic() + every

    async def _trying(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (SwarmError, OSError) as error:
            log.warning("the networks of this node cannot be looked at: %s", error)
        except Exception:  # the boundary of a look: the next one is due all the same
            log.exception("a look at the networks of this node broke down")

    async def heal(self) -> None:
        """One look, which puts right what is not as it was left."""
        data_path = self._data_path()
        if data_path is None:
            return
        for words in await self._healed(data_path):
            log.warning("networks: put right what was not as it was left: %s", words)
            self._mended.append((self._monotonic(), words))
        if self._monotonic() >= self._look_around_at:
            await self.look_around()

    async def look_around(self) -> None:
        """Names what is in the way of networks in the log, and in the node's description."""
        self._look_around_at = self._monotonic() + AROUND_EVERY
        if (data_path := self._data_path()) is not None:
            await self._thread(lambda: self._obstacles.tend(data_path.need()))

    def obstacles(self) -> list[objects_pb2.NetworkObstacle]:
        """What was in the way at the last look, for the node's description."""
        return [
            objects_pb2.NetworkObstacle(
                what=each.what, why=each.why, remedy=each.remedy, command=each.command
            )
            for each in self._obstacles.found
        ]

    async def check(self, order: Order) -> check_pb2.CheckReportRequest:
        """What the order asks for."""
        async with self._one_at_a_time:
            data_path = self._data_path()
            answer = check_pb2.CheckReportRequest(order_id=order.id)
            if data_path is None:
                answer.error = "this node is in no swarm"
            elif order.fix:
                answer.report.fixes.extend(await self._fix(data_path))
            else:
                await self._look(data_path, order, answer)
            return answer

    async def _fix(self, data_path: DataPath) -> list[check_pb2.NetworkFix]:
        fixes = [
            check_pb2.NetworkFix(what=words, after="as it ought to be")
            for words in await self._healed(data_path)
        ]
        if data_path.trouble is not None:
            fixes.append(check_pb2.NetworkFix(what="links and rules", error=str(data_path.trouble)))
        return fixes + await self._thread(lambda: self._obstacles.let_pass(data_path.need()))

    async def _healed(self, data_path: DataPath) -> list[str]:
        return await self._thread(lambda: [*data_path.heal(), *self._redirects.mend()])

    async def _look(
        self, data_path: DataPath, order: Order, answer: check_pb2.CheckReportRequest
    ) -> None:
        networks = tuple(order.network_ids)
        survey = await self._thread(data_path.survey)
        lost = await self._thread(self._redirects.missing)
        for network_id, summed in digests(survey.book).items():
            answer.digests.add(network_id=network_id, sum=summed)
        if order.digests_only:
            return
        obstacles = await self._thread(lambda: self._obstacles.look(data_path.need(), always=True))
        found = survey.findings(networks, lost)
        if data_path.trouble is not None:
            found.append(_of_trouble(data_path.trouble))
        called = {**survey.called(), **order.hostnames}
        heard = await asyncio.to_thread(_ask_around, survey, networks, called)
        if heard.findings:
            # Whoever was asked may have ended meanwhile, or what was told have changed.
            await asyncio.sleep(_SETTLE)
            again = await self._thread(data_path.survey)
            heard = await asyncio.to_thread(_ask_around, again, networks, called)
        report = answer.report
        cut_off = any(not each.note for each in heard.findings)
        found += [_of_obstacle(each, cut_off=cut_off) for each in obstacles]
        report.asked, report.reached = heard.asked, heard.reached
        for each in _limited([*found, *heard.findings, *self._notes()]):
            report.findings.append(_told(each, called))
        known = survey.book.networks.keys()
        report.networks = len(known & set(networks) if networks else known)
        report.tasks = len(survey.places)
        report.mtu = 0 if survey.look is None else survey.look.ground.mtu

    def _notes(self) -> Iterable[Finding]:
        now = self._monotonic()
        for at, words in self._mended:
            if now - at < _MENDED_FOR:
                yield Finding(
                    f"{now - at:.0f} s ago swarmd put something right by itself",
                    found=words,
                    why="somebody, or another program, changes what is swarmd's on this host",
                    remedy="find who does: it will happen again",
                    command="journalctl -u swarmd",
                    note=True,
                )


@dataclass(frozen=True)
class _Heard:
    """What came of questions to other nodes and to name servers."""

    findings: list[Finding]
    asked: int  # nodes
    reached: int


def _ask_around(survey: Survey, networks: Sequence[str], called: Mapping[str, str]) -> _Heard:
    """Blocks for some seconds where somebody does not answer, for milliseconds else."""
    targets = survey.targets(networks)
    heard = ping.ask(reach.questions(targets))
    if more := reach.ladder(targets, heard):
        heard |= ping.ask(more)
    found = [*reach.judge(targets, heard, called), *_ask_names(survey, networks)]
    asked = frozenset(target.node for target in targets)
    return _Heard(found, len(asked), len(reach.reached(targets, heard)))


def _ask_names(survey: Survey, networks: Sequence[str]) -> list[Finding]:
    """Each that is silent costs a second: after some of them no more are asked."""
    found: list[Finding] = []
    silent = 0
    for whose, path, wished in survey.questions(networks):
        try:
            answered = ask.ask(Path(path), list(wished))
        except SwarmError:  # the task has ended meanwhile
            continue
        found += names.findings(whose, "", wished, answered)
        silent += len(answered) < len(wished)
        if silent == _MOST_SILENT:
            break
    return found


def _limited(found: list[Finding]) -> list[Finding]:
    """So many as a report may have."""
    if len(found) <= MOST_FINDINGS:
        return found
    more = len(found) - MOST_FINDINGS
    return [*found[:MOST_FINDINGS], Finding(f"{more} more things were found", note=True)]


def _of_obstacle(each: Obstacle, *, cut_off: bool) -> Finding:
    """`cut_off`: some node is not reached. If none is, what comes here is let in after all."""
    note = each.note or (each.incoming and not cut_off)
    return Finding(
        each.what,
        why=each.why,
        remedy=each.remedy,
        command=each.command,
        note=note,
        mends=each.mends,
    )


def _of_trouble(error: SwarmError) -> Finding:
    return Finding(error.what, why=error.why, remedy=error.remedy or "see the log of swarmd")


def _told(each: Finding, called: Mapping[str, str]) -> check_pb2.NetworkFinding:
    return check_pb2.NetworkFinding(
        network_id=each.network,
        network=called.get(each.network, ""),
        what=each.what,
        expected=each.expected,
        found=each.found,
        why=each.why,
        remedy=each.remedy,
        command=each.command,
        note=each.note,
        mends=each.mends,
    )
