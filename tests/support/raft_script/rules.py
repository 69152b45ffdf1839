"""What must hold whatever a script does: looked at after each command. It never changes a member.

The names are those of figure 3 of the Raft paper.
"""

from collections.abc import Iterable

from api.v1.raft_pb2 import Entry
from manager.raft.core.ready import Role
from tests.support.raft_script.host import Host


class Rules:
    """Remembers what was seen, and raises AssertionError when two things cannot both be true."""

    def __init__(self) -> None:
        self._leaders: dict[int, int] = {}  # by term
        self._applied: dict[int, bytes] = {}  # by index
        self._votes: dict[tuple[int, int], int] = {}  # by member and term, once durable
        self._terms: dict[int, int] = {}  # by member, once durable

    def check(self, hosts: Iterable[Host]) -> None:
        for host in hosts:
            self._election_safety(host)
            self._durable_promises(host)
            if host.round is not None:
                self._state_machine_safety(host.round.committed_entries)

    def _election_safety(self, host: Host) -> None:
        if host.raw is None:
            return
        status = host.raw.status()
        if status.soft_state.role is Role.LEADER:
            term = status.hard_state.term
            first = self._leaders.setdefault(term, host.id)
            assert first == host.id, f"{first} and {host.id} both led in term {term}"

    def _durable_promises(self, host: Host) -> None:
        hard, _conf = host.disk.initial_state()
        assert hard.term >= self._terms.get(host.id, 0), f"the term of {host.id} fell"
        self._terms[host.id] = hard.term
        if hard.vote:
            first = self._votes.setdefault((host.id, hard.term), hard.vote)
            assert first == hard.vote, f"{host.id} voted twice in term {hard.term}"

    def _state_machine_safety(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            new = entry.SerializeToString(deterministic=True)
            seen = self._applied.setdefault(entry.index, new)
            assert seen == new, f"two entries were committed at index {entry.index}"
