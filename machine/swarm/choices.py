"""What the operator chose for one run: which hosts, and how much may be lost. Data only."""

from dataclasses import dataclass

from machine.swarm.wanted import HostWanted


@dataclass(frozen=True)
class Choices:
    """The flags of `machine apply`, as a plan needs them."""

    limit: frozenset[str] = frozenset()  # hosts that may be changed; empty: all
    prune: bool = False  # nodes of no host in the file are removed
    cleanup: bool = False  # what was installed on hosts that are removed goes too
    may_lose_data: bool = False
    may_skip: bool = False  # workers that are not reached are left out
    drains: bool = True  # workers are emptied before they are upgraded
    batch: int = 1  # so many workers at a time are upgraded
    goes_back: bool = False  # versions come back to what hosts ran before, and nothing is installed

    def has(self, host: HostWanted) -> bool:
        """Whether the host may be changed."""
        return not self.limit or host.name in self.limit
