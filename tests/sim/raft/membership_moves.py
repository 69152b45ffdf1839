"""Operators of the group: they let members join, promote, demote, remove and replace them, and
now and then ask for what must be refused. They know what the leader of the moment knows.
"""

from typing import TYPE_CHECKING

from api.v1.raft_pb2 import ConfChange, MemberChange
from tests.sim.raft.host import described
from tests.sim.raft.process import Process

if TYPE_CHECKING:
    from tests.sim.raft.world import World

MOST = 7
_VOTER = MemberChange.TYPE_ADD_VOTER
_LEARNER = MemberChange.TYPE_ADD_LEARNER
_REMOVE = MemberChange.TYPE_REMOVE
_UPDATE = MemberChange.TYPE_UPDATE


class Mover:
    """Goes from size to size, between 1 and MOST."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random
        self._pace = world.random.choice((400, 1_500, 5_000))
        self._target = world.settings.nodes

    def begin(self) -> None:
        """Goes on for ever, if members may change at all."""
        if {"members", "rot"} & self._world.settings.faults:
            self._world.clock.after(self._random.randrange(1, 2 * self._pace), self._act)

    def elected(self, leader: Process) -> None:
        """Some operators have waited for a leader, and act at once."""
        if "members" in self._world.settings.faults and self._random.randrange(2):
            self._world.clock.after(self._random.randrange(20), self._ask, leader)

    def _act(self) -> None:
        self.begin()
        self._retire()
        leader = self._world.leader()
        if leader is not None:
            self._ask(leader)

    def _ask(self, leader: Process) -> None:
        if self._world.calm.is_on or not leader.alive or leader.paused:
            return
        changes = self._replace_lost(leader)
        if "members" in self._world.settings.faults:
            if self._random.randrange(12) == 0:
                self._target = self._random.randrange(1, MOST + 1)
            changes = changes or self._leave_joint(leader) or self._move(leader)
        if changes is not None:
            leader.propose_change(changes)

    def _retire(self) -> None:
        """Ends processes whose members were removed, a while after most others know of it.

        Not before: those who do not know yet may still need its vote, to find out.
        """
        if not self._world.invariants.conf_is_known():
            return
        for raft_id in sorted(self._world.invariants.removed):
            host = self._world.hosts[raft_id]
            if not host.gone and self._random.randrange(6) == 0:
                host.gone = True
                if host.process is not None:
                    self._world.killed(host.process)

    def _replace_lost(self, leader: Process) -> ConfChange | None:
        """Removes members whose disks are lost; a new one joins later, to keep the size."""
        hosts = self._world.hosts
        conf = leader.conf
        lost = [each for each in (*conf.voters, *conf.learners) if hosts[each].gone]
        if lost and not conf.voters_outgoing:
            return _change(_REMOVE, lost[0])
        wanted = len(conf.voters) < self._target and "members" not in self._world.settings.faults
        if wanted and not conf.voters_outgoing:
            return _change(_VOTER, conf.learners[0]) if conf.learners else self._join(leader)
        return None

    def _leave_joint(self, leader: Process) -> ConfChange | None:
        if leader.conf.voters_outgoing:
            return ConfChange() if self._random.randrange(2) else _change(_UPDATE, leader.raft_id)
        return None

    def _move(self, leader: Process) -> ConfChange | None:
        conf = leader.conf
        chance = self._random.randrange(20)
        if chance <= 1:
            return self._forbidden(leader)
        if chance == 2:
            return _change(_UPDATE, self._random.choice(conf.voters))
        if chance <= 5:
            return self._several(leader)
        if chance == 6 and len(conf.voters) > 1:
            return self._guarded(leader, _LEARNER, self._random.choice(conf.voters))
        if conf.learners and chance < 12:
            return _change(_VOTER, self._random.choice(conf.learners))
        size = len(conf.voters) + len(conf.learners)
        if size < self._target:
            return self._join(leader)
        if size > self._target and size > 1:
            gone = self._random.choice([*conf.voters, *conf.learners])
            return self._guarded(leader, _REMOVE, gone)
        return None

    def _guarded(
        self, leader: Process, kind: MemberChange.Type.ValueType, raft_id: int
    ) -> ConfChange | None:
        """Not if those who are left had lost too much, as the layer above refuses it too."""
        left = [each for each in leader.conf.voters if each != raft_id]
        if left and self._world.alive_enough_without(left, 0):
            return _change(kind, raft_id)
        return None

    def _join(self, leader: Process) -> ConfChange:
        """As a learner mostly, as it is meant; at times as a voter at once, and with others."""
        kind = _LEARNER if self._random.randrange(5) else _VOTER
        return _change(kind, self._newcomer(leader))

    def _newcomer(self, leader: Process) -> int:
        """A member that waits to join, or a new one, with an empty disk."""
        return self._strangers(leader)[0]

    def _strangers(self, leader: Process) -> list[int]:
        """Two that are in no configuration that this leader knows of."""
        world = self._world
        known = {*leader.conf.voters, *leader.conf.learners, *leader.duties.membership.removed}
        known |= world.invariants.removed
        idle = [
            host.raft_id
            for host in world.hosts.values()
            if not host.gone and host.raft_id not in known and not host.has_log
        ]
        while len(idle) < 2:
            host = world.new_host()
            host.start()
            idle.append(host.raft_id)
        return idle[:2]

    def _several(self, leader: Process) -> ConfChange | None:
        """One leaves and another comes, or more of both, by joint consensus."""
        voters = list(leader.conf.voters)
        leaving = self._random.sample(voters, self._random.randrange(1, min(3, len(voters)) + 1))
        coming = [self._newcomer(leader)]
        if self._random.randrange(3) == 0:  # all of them, by a pair of strangers
            leaving, coming = voters, self._strangers(leader)
        if leader.conf.learners and self._random.randrange(2):
            coming.append(self._random.choice(leader.conf.learners))
        after = [each for each in voters if each not in leaving] + coming
        if not self._world.alive_enough_without(after, 0):
            return None
        out = _LEARNER if self._random.randrange(3) == 0 else _REMOVE
        return ConfChange(
            transition=self._random.choice(list(ConfChange.Transition.values())),
            changes=[MemberChange(type=out, member=described(each)) for each in leaving]
            + [MemberChange(type=_VOTER, member=described(each)) for each in coming],
        )

    def _forbidden(self, leader: Process) -> ConfChange | None:
        """A removed id comes back, the last voter goes, or nobody at all is meant."""
        removed = sorted(leader.duties.membership.removed)
        if removed and self._random.randrange(4):
            kind = self._random.choice((_VOTER, _LEARNER))
            return _change(kind, self._random.choice(removed))
        if len(leader.conf.voters) == 1:
            return _change(_REMOVE, leader.conf.voters[0])
        return _change(self._random.choice((_VOTER, _REMOVE)), 0)


def _change(kind: MemberChange.Type.ValueType, raft_id: int) -> ConfChange:
    return ConfChange(changes=[MemberChange(type=kind, member=described(raft_id))])
