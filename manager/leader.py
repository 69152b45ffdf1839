"""What runs only while this manager leads: the loops that decide, the dispatcher, the keeper."""

import secrets

from api.ids import IdSource
from hostkit.together import alongside
from manager.allocator.decide import AllocatorLoop
from manager.ca.rotation import RotationLoop
from manager.control.check import NetworkCheckService
from manager.control.exec import ExecService
from manager.control.logs import LogsService
from manager.control.volume_data import VolumeData
from manager.control.volume_orders import VolumeOrders
from manager.decision import Loop
from manager.dispatcher.orphans import OrphansLoop
from manager.dispatcher.service import DispatcherService
from manager.group.keeper import Keeper
from manager.loops import LoopTask
from manager.orchestrator.enforcer import EnforcerLoop
from manager.orchestrator.reaper import ReaperLoop
from manager.orchestrator.services import ServicesLoop
from manager.scheduler.decide import SchedulerLoop
from manager.state.proposer import Proposer
from manager.state.store import Store
from manager.state.swarm_clock import SwarmClock
from manager.state.watch import WatchHub
from manager.volumes.loop import VolumesLoop


class Leader:
    """All duties of a leader. `run` works until cancelled; then nothing of it goes on."""

    def __init__(
        self,
        *,
        store: Store,
        hub: WatchHub,
        proposer: Proposer,
        dispatcher: DispatcherService,
        logs: LogsService,
        commands: ExecService,
        checks: NetworkCheckService,
        volume_orders: VolumeOrders,
        volume_data: VolumeData,
        keeper: Keeper,
        ids: IdSource,
        clock: SwarmClock,
    ) -> None:
        loops: list[Loop] = [
            ServicesLoop(ids, waited_since=clock.waited_since),
            AllocatorLoop(),
            SchedulerLoop(),
            EnforcerLoop(),
            ReaperLoop(),
            OrphansLoop(),
            VolumesLoop(),
            RotationLoop(secrets.token_bytes),
        ]
        self._tasks = [
            LoopTask(loop, store=store, hub=hub, proposer=proposer, clock=clock) for loop in loops
        ]
        self._clock = clock
        self._dispatcher = dispatcher
        self._logs = logs
        self._commands = commands
        self._checks = checks
        self._volume_orders = volume_orders
        self._volume_data = volume_data
        self._keeper = keeper

    async def run(self) -> None:
        """Runs every duty. A loop that fails is begun anew; if another does, all stop."""
        self._clock.begin_to_lead()
        try:
            loops = (task.run() for task in self._tasks)
            await alongside(
                self._dispatcher.run(), self._volume_orders.run(), self._keeper.run(), *loops
            )
        finally:
            self._logs.end()
            self._commands.end()
            self._checks.end()
            self._volume_data.end()
            self._volume_orders.end()

    def complaint(self) -> str:
        """What is wrong with the duties, for the health service; empty if nothing is."""
        return "; ".join(filter(None, (task.complaint() for task in self._tasks)))
