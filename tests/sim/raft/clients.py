"""Clients of the group: they write to whoever leads or believes so, and read from anybody."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.raft.world import World


class Clients:
    """Some write every `pace` ms on average, one write or a few at once; fewer read."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random
        self._pace = world.random.choice((40, 80, 250))

    def begin(self) -> None:
        """Goes on for ever."""
        self._world.clock.after(self._random.randrange(1, 2 * self._pace), self._act)

    def _act(self) -> None:
        self.begin()
        random = self._random
        processes = [each for each in self._world.processes() if not each.paused]
        if not processes:
            return
        if random.randrange(4) == 0:
            random.choice(processes).read()
            return
        leaders = [each for each in processes if each.raw.is_leader]
        if leaders and random.randrange(10):
            processes = leaders
        count = random.choice((1, 1, 1, 2, 5))
        random.choice(processes).propose([self._size() for _ in range(count)])

    def _size(self) -> int:
        return self._random.choice((0, 3, 10, 10, 30, 250))
