"""Calms between the storms: everything is healed, the group must come to life in time, and then
nothing may disturb it.
"""

from typing import TYPE_CHECKING

from tests.sim.raft.invariants import ids_of
from tests.sim.raft.violation import Violation, must

if TYPE_CHECKING:
    from tests.sim.raft.world import World

LIMIT = 60_000
"""Milliseconds after healing. An election takes 1 to 2 s; several may fail, snapshots take time."""
SETTLED = 6_000
"""Milliseconds after healing when nothing of the storm is under way any more."""
WATCHED = 3_000
"""Milliseconds for which the living group is then watched, in some calms."""
_LOOK = 250


class Calm:
    """In time, after healing: somebody leads, a new write is acknowledged and applied by every
    member that has a disk, each of them serves a new read, and no joint configuration that ends by
    itself is left. From then on everybody follows that leader, in that term.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.is_on = False
        self._healed = 0
        self._watched = 0
        self._first = 0  # operation from which on writes are new
        self._readers: set[int] = set()
        self._lives_since = 0
        self._term = 0

    def schedule(self) -> None:
        """The next calm comes after a storm."""
        random = self._world.random
        self._world.clock.after(random.randrange(4_000, 25_000), self.begin)

    def begin(self) -> None:
        """Heals everything and watches."""
        if self.is_on:
            return
        world = self._world
        world.note("--- calm")
        self.is_on = True
        world.faults.heal()
        self._healed = world.clock.now
        self._watched = WATCHED if world.random.randrange(3) == 0 else 0
        self._lives_since = 0
        self._first = world.history.operations + 1
        self._readers = set()
        world.clock.after(_LOOK, self._look)

    def read_served(self, raft_id: int, context: bytes) -> None:
        """A read was served; it counts if it was asked for since the healing."""
        if self.is_on and int(context[1:]) >= self._first:
            self._readers.add(raft_id)

    def _look(self) -> None:
        world = self._world
        now = world.clock.now
        missing = "" if self._lives_since else self._missing()
        if not missing and self._is_quiet(now):
            world.note("--- the group lives")
            self.is_on = False
            world.faults.resume()
            self.schedule()
            return
        if missing and now > self._healed + LIMIT:
            raise Violation("liveness", f"{LIMIT // 1000} s after healing, {missing}")
        world.clock.after(_LOOK, self._look)
        self._use()

    def _is_quiet(self, now: int) -> bool:
        """Whether the living group was watched for long enough; it must be at rest meanwhile."""
        if not self._watched:
            return True
        if now < self._healed + SETTLED:
            return False
        processes = [self._world.hosts[each].process for each in self._living()]
        terms = {each.raw.term for each in processes if each is not None}
        leaders = {each.raw.leader for each in processes if each is not None}
        if not self._lives_since:
            self._lives_since, self._term = now, max(terms)
        must(
            terms == {self._term} and len(leaders) == 1 and 0 not in leaders,
            "a healthy group rests",
            "terms %s (it was %d), leaders %s",
            sorted(terms),
            self._term,
            sorted(leaders),
        )
        return now >= self._lives_since + self._watched

    def _use(self) -> None:
        """Writes, and reads from those who have served none yet."""
        world = self._world
        leader = world.leader()
        if leader is not None and world.random.randrange(2):
            leader.propose([1])
        for raft_id in self._living():
            process = world.hosts[raft_id].process
            if raft_id not in self._readers and process is not None:
                process.read()

    def _living(self) -> list[int]:
        """The members whose disks are not lost."""
        hosts = self._world.hosts
        return [
            each for each in sorted(ids_of(self._world.invariants.conf)) if not hosts[each].gone
        ]

    def _missing(self) -> str:
        """What does not work yet; "" if all does."""
        world = self._world
        index = self._new_write()
        if not index:
            return "no new write is acknowledged"
        conf = world.invariants.conf
        if conf.auto_leave and conf.voters_outgoing:
            return "the joint configuration is not left"
        for raft_id in self._living():
            process = world.hosts[raft_id].process
            if process is None:
                return f"{raft_id} is down"
            if process.seen_applied < index:
                return f"{raft_id} has applied {process.seen_applied}, not yet {index}"
            if raft_id not in self._readers:
                return f"{raft_id} has served no read"
        return ""

    def _new_write(self) -> int:
        """The index of an acknowledged write that is newer than the calm; 0 if there is none."""
        history = self._world.history
        found = history.high
        return found if history.acked.get(found, 0) >= self._first else 0

    def check_end(self) -> None:
        """At the end of all: members that applied as much have the same state."""
        sums: dict[int, int] = {}
        for process in self._world.processes():
            known = sums.setdefault(process.seen_applied, process.machine.sum())
            must(
                known == process.machine.sum(),
                "state machine safety",
                "%d is in another state after %d",
                process.raft_id,
                process.seen_applied,
            )
