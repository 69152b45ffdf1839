"""How a simulated manager uses its disk: in time, and no more once it is dead."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tests.sim.control.loop import Process, current_process
from tests.sim.raft.drive import Drive
from tests.support.sim_disk import PowerCut

if TYPE_CHECKING:
    from tests.sim.control.world import World

R = TypeVar("R")


class DiskThread:
    """In the place of manager.raft.node.disk_thread.DiskThread: one piece of work after another,
    each done when it is given and known to be done some time later.
    """

    world: "World"

    def __init__(self) -> None:
        self._process: Process | None = None
        self._free_at = 0.0

    def start(self) -> None:
        """Begins to take work."""
        self._process = current_process()

    def run(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """Done with what `work` returned or raised."""
        world, process = self.world, self._process
        assert process is not None
        done: asyncio.Future[R] = world.loop.create_future()
        self._free_at = max(self._free_at, world.loop.time()) + world.disk_delay()
        try:
            result = work()
        except PowerCut:
            world.power_cut(process)
        except BaseException as error:
            world.network.at(self._free_at, process.call, _settle, done, done.set_exception, error)
        else:
            world.network.at(self._free_at, process.call, _settle, done, done.set_result, result)
        return done

    def close(self) -> None:
        """Nothing is under way that anybody waits for."""


def _settle(done: asyncio.Future[Any], how: Callable[[Any], None], what: object) -> None:
    if not done.done():
        how(what)


def ghost(drive: Drive) -> None:
    """Whoever still holds this drive cannot use it any more."""
    drive.disk.cut_at = drive.disk.operations
