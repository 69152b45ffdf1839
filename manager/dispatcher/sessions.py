"""Which nodes the leader hears of: sessions, their leases, and the node states that follow. Pure.

A session is the leader's memory of one running agent; its id is never stored. A node has at most
one: a new session voids the old, so that two agents with one identity (a cloned machine) show. A
broken stream makes the node `unknown` at once; the lease runs on, and when three periods pass
without a heartbeat the node is `down`. A new leader knows of no session: nodes that were not down
are `unknown` and get six periods to come (SwarmKit, manager/dispatcher/nodes.go). A leader that
stood still heard nobody meanwhile: it finds no node lost for that (SwarmKit would).

Times are monotonic seconds. Writes nothing: callers write what they are told in a Finding.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from api.errors import Code, SwarmError
from api.ids import IdSource
from api.v1 import types_pb2

MISSED_PERIODS = 3
MISSED_PERIODS_NEW_LEADER = 6
JITTER_PER_MILLE = 100
"""A period is stretched or shrunk by at most a tenth, so that agents do not beat in step."""
RATE_LIMIT = 3
RATE_WINDOW = 8.0
"""A node may register three times in any eight seconds (SwarmKit's limits)."""

STREAM_BROKE = "the node's session broke off"
NEW_LEADER = "a new leader has not heard of the node yet"


class Chance(Protocol):
    """Where randomness comes from; random.Random is one."""

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to `stop` - 1."""


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's registration."""

    id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The state that a node is in from now on, and why."""

    node_id: str
    state: types_pb2.NodeState.ValueType
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What the passing of time made of the nodes, and when to look again (None: no lease runs)."""

    findings: list[Finding]
    next_at: float | None


@dataclass(slots=True)
class _Lease:
    """What is known of one node. `deadline` is None once the node is down."""

    session: Session | None = None
    deadline: float | None = None
    grace: float = 0.0
    is_spared: bool = False
    registered: deque[float] = field(default_factory=deque)


class Sessions:
    """Every node's session and lease."""

    def __init__(self, new_id: IdSource, chance: Chance) -> None:
        self._new_id = new_id
        self._chance = chance
        self._leases: dict[str, _Lease] = {}
        self._nodes: dict[str, str] = {}

    def lead(self, node_ids: Iterable[str], now: float, period: float) -> list[Finding]:
        """Begins as a new leader with these nodes, none of which is down; nobody has a session."""
        self._leases.clear()
        self._nodes.clear()
        findings = []
        for node_id in node_ids:
            grace = MISSED_PERIODS_NEW_LEADER * self._jittered(period)
            self._leases[node_id] = _Lease(deadline=now + grace, grace=grace)
            findings.append(Finding(node_id, types_pb2.NODE_STATE_UNKNOWN, NEW_LEADER))
        return findings

    def register(self, node_id: str, now: float, period: float) -> Session:
        """A new session, which voids the node's old one; the caller writes the node `ready`.

        `period`: seconds between heartbeats before jitter. EXHAUSTED if the node registers too
        often; refused tries do not count against it.
        """
        lease = self._leases.setdefault(node_id, _Lease())
        while lease.registered and lease.registered[0] <= now - RATE_WINDOW:
            lease.registered.popleft()
        if len(lease.registered) >= RATE_LIMIT:
            wait = lease.registered[0] + RATE_WINDOW - now
            raise SwarmError(
                Code.EXHAUSTED,
                f"node {node_id} registers too often",
                why=f"{RATE_LIMIT} sessions in {RATE_WINDOW:g} s; a cloned host may share its id",
                remedy=f"wait {wait:.1f} s, and make sure that one host alone has this identity",
            )
        lease.registered.append(now)
        self._end_session(lease)
        lease.session = Session(self._new_id(), node_id)
        self._nodes[lease.session.id] = node_id
        self._extend(lease, now, self._jittered(period))
        return lease.session

    def heartbeat(self, session_id: str, node_id: str, now: float, period: float) -> float:
        """Renews the lease; seconds after which the next heartbeat is expected.

        REFUSED if the session is not the node's present one.
        """
        self.check(session_id, node_id)
        jittered = self._jittered(period)
        self._extend(self._leases[node_id], now, jittered)
        return jittered

    def check(self, session_id: str, node_id: str) -> None:
        """REFUSED unless this is the node's present session."""
        if self._nodes.get(session_id) != node_id:
            raise SwarmError(
                Code.REFUSED,
                f"session {session_id or '(none)'} of node {node_id} is not valid any more",
                why="it ended, a newer one replaced it, or another manager leads now",
                remedy="register again",
            )

    def nodes(self) -> list[str]:
        """Every node that has, or had, a lease."""
        return list(self._leases)

    def broke(self, session_id: str) -> Finding | None:
        """The session's stream ended. The lease runs on; None if the session was void already."""
        node_id = self._nodes.get(session_id)
        if node_id is None:
            return None
        self._end_session(self._leases[node_id])
        return Finding(node_id, types_pb2.NODE_STATE_UNKNOWN, STREAM_BROKE)

    def forget(self, node_id: str) -> None:
        """The node was removed: its session and lease end."""
        lease = self._leases.pop(node_id, None)
        if lease is not None:
            self._end_session(lease)

    def stood_still(self, now: float) -> None:
        """The leader itself could hear nobody until now: leases that run have their time anew, each
        once until it is renewed, since a leader may stand still again and again.
        """
        for lease in self._leases.values():
            if lease.deadline is not None and not lease.is_spared:
                lease.deadline = now + lease.grace
                lease.is_spared = True

    def tick(self, now: float) -> Tick:
        """Ends the leases that ran out, and their sessions with them."""
        findings = []
        for node_id, lease in self._leases.items():
            if lease.deadline is not None and lease.deadline <= now:
                lease.deadline = None
                self._end_session(lease)
                message = f"no heartbeat for {lease.grace:.1f} s"
                findings.append(Finding(node_id, types_pb2.NODE_STATE_DOWN, message))
        running = [lease.deadline for lease in self._leases.values() if lease.deadline is not None]
        return Tick(findings, min(running, default=None))

    def _extend(self, lease: _Lease, now: float, period: float) -> None:
        lease.is_spared = False
        lease.grace = MISSED_PERIODS * period
        lease.deadline = now + lease.grace

    def _end_session(self, lease: _Lease) -> None:
        if lease.session is not None:
            del self._nodes[lease.session.id]
            lease.session = None

    def _jittered(self, period: float) -> float:
        offset = self._chance.randrange(2 * JITTER_PER_MILLE + 1) - JITTER_PER_MILLE
        return period * (1000 + offset) / 1000
