"""What clients were told, kept outside of the group: acknowledged writes, and reads."""

from dataclasses import dataclass, field

from tests.sim.raft.violation import must


@dataclass(slots=True)
class Read:
    """Asked when `floor` was the highest acknowledged index: it must see all up to there."""

    floor: int
    asked_at: int


@dataclass(slots=True)
class History:
    """`acked`: operation by index. `high`: the highest index of an acknowledged write."""

    acked: dict[int, int] = field(default_factory=dict)
    high: int = 0
    operations: int = 0
    reads: dict[bytes, Read] = field(default_factory=dict)

    def next_operation(self) -> int:
        """The number of a new write."""
        self.operations += 1
        return self.operations

    def acknowledge(self, index: int, operation: int) -> None:
        """The proposer is told that its write is applied at `index`."""
        self.acked[index] = operation
        self.high = max(self.high, index)

    def ask(self, now: int) -> bytes:
        """A read begins; its context."""
        self.operations += 1
        context = b"r%d" % self.operations
        self.reads[context] = Read(self.high, now)
        return context

    def answer(self, member: int, context: bytes, applied: int) -> Read:
        """The read is served by a member that has applied so much."""
        must(context in self.reads, "reads asked for", "%d answers %s", member, context)
        read = self.reads[context]
        must(
            applied >= read.floor,
            "linearizable reads",
            "%d serves %s at %d, though %d was acknowledged before it began",
            member,
            context,
            applied,
            read.floor,
        )
        return read
