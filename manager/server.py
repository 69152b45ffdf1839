"""A manager: its log and store, what it serves, and how all that lives and dies.

Composes; decides nothing. Every manager of a group holds the whole state and takes every call;
which of them leads is the Raft node's affair, what a leader does beside that leader.py's.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable

import grpc

from api.channel import node_channel
from api.errors import Code, SwarmError
from api.identity import Credentials, make_csr
from api.new_ids import new_id
from api.v1 import objects_pb2, raft_pb2
from hostkit.lasting import LastingTasks
from manager.ca.bootstrap import FirstObjects
from manager.ca.operators import the_cluster
from manager.ca.own import own_certificate
from manager.ca.standing import Standing
from manager.config import ManagerConfig
from manager.control.check import NetworkCheckService
from manager.control.exec import ExecService
from manager.control.logs import LogsService
from manager.control.volume_data import VolumeData
from manager.control.volume_orders import VolumeOrders
from manager.dispatcher.service import DispatcherService
from manager.events.history import History
from manager.events.settling import Settling
from manager.forwarding.channels import ManagerChannels
from manager.group.addressing import Addressing
from manager.group.departing import leave_group
from manager.group.group import Group
from manager.group.keeper import Keeper
from manager.group.quorum import check_lost
from manager.leader import Leader
from manager.locking import Locking
from manager.log import ReplicatedLog
from manager.offer import Offer, OfferedParts
from manager.raft.node.identity import GroupIdentity
from manager.reign import Reign
from manager.state.machine import LogProposer, StoreMachine
from manager.state.proposer import propose_one
from manager.state.store import Store
from manager.state.swarm_clock import SwarmClock
from manager.state.watch import WatchHub

logger = logging.getLogger(__name__)

STOP_GRACE = 0.5
"""Seconds that calls under way get when the manager stops; streams never end by themselves."""
OWN_STATE = 5.0
"""Seconds in which a manager that starts has applied what it knows to be committed."""
CATCH_UP = 60.0
"""Seconds in which a manager that has joined must have got the state."""


class Manager:
    """One manager. `start` it, watch `failure`, `stop` it.

    `place`: its place in the group; see manager/seat.py.
    """

    def __init__(
        self,
        config: ManagerConfig,
        place: GroupIdentity,
        *,
        fresh: bool = False,
        founding: bool = False,
    ) -> None:
        """`fresh`: the place is new; `founding`: so is the group."""
        self._config = config
        self._credentials = config.credentials
        self._hub = WatchHub()
        self.store = Store()
        self._history = History()
        self._channels = ManagerChannels(lambda address: node_channel(address, self._credentials))
        self._log = ReplicatedLog(
            config,
            place,
            StoreMachine(self.store, self._hub, self._history),
            settings=self.store,
            credentials=lambda: self._credentials,
            fresh=fresh,
            founding=founding,
        )
        self.node = self._log.node
        self._group = Group(self.node)
        clock = SwarmClock(config.clock, config.monotonic, lambda: self.store.at)
        self._proposer = LogProposer(self.node, clock)
        self._dispatcher = DispatcherService(
            store=self.store,
            hub=self._hub,
            proposer=self._proposer,
            clock=clock,
            monotonic=config.monotonic,
            ids=new_id,
            chance=secrets.SystemRandom(),
            leader=self._leader_address,
            confirm=self.node.confirm_lead,
        )
        self._logs = LogsService(
            store=self.store, hub=self._hub, monotonic=config.monotonic, ids=new_id
        )
        self._commands = ExecService(
            store=self.store, hub=self._hub, monotonic=config.monotonic, ids=new_id
        )
        self._checks = NetworkCheckService(
            store=self.store, ids=new_id, told=self._dispatcher.digests
        )
        self._volume_orders = VolumeOrders(
            store=self.store,
            hub=self._hub,
            proposer=self._proposer,
            monotonic=config.monotonic,
            ids=new_id,
        )
        self._volume_data = VolumeData(self.store, self._volume_orders)
        self._leader = Leader(
            store=self.store,
            hub=self._hub,
            proposer=self._proposer,
            dispatcher=self._dispatcher,
            logs=self._logs,
            commands=self._commands,
            checks=self._checks,
            volume_orders=self._volume_orders,
            volume_data=self._volume_data,
            keeper=Keeper(self.store, self._proposer, self._group, self.node.subscribe),
            ids=new_id,
            clock=clock,
        )
        self._standing = Standing(self.store, self._hub, config.credentials.ca_pem)
        self._offer = Offer(
            OfferedParts(
                config=config,
                clock=clock,
                store=self.store,
                hub=self._hub,
                proposer=self._proposer,
                node=self.node,
                group=self._group,
                channels=self._channels,
                dispatcher=self._dispatcher,
                logs=self._logs,
                standing=self._standing,
                commands=self._commands,
                checks=self._checks,
                volume_data=self._volume_data,
                greeted=self._log.transport.greeted,
                history=self._history,
            ),
            credentials=lambda: self._credentials,
            complaint=self.complaint,
        )
        self._stopping: asyncio.Task[None] | None = None
        self._tasks = LastingTasks(self._ended)
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Done with what ended this manager against its will."""

    def replace_credentials(self, credentials: Credentials) -> None:
        """New connections see the new certificate; calls under way go on."""
        self._credentials = credentials
        self._channels.renew()
        self._log.transport.reconnect()

    async def start(
        self, first: FirstObjects | None = None, *, joined: bool = False, alone: bool = False
    ) -> None:
        """Listens and takes part; `first` makes a new cluster. On failure nothing is left running.

        With `joined` it returns when the state has come, `alone` when it leads. UNAVAILABLE if a
        port is taken, or nobody sends the state.
        """
        try:
            self._offer.bind()
            self._tasks.start(self.node.run())
            self._tasks.start(self._standing.run())
            self._tasks.start(Settling(self._history).run())
            await self._offer.start()
            if first is not None:
                await self._until(lambda: self.node.is_leader)
                await propose_one(self._proposer, first.batch())
            elif joined:
                await self._until(self._knows_itself)
            elif alone:
                await self.leads()
        except BaseException:
            await self.stop()
            raise
        self._tasks.start(Reign(self.node, self._leader.run).run())
        self._tasks.start(self._locking().run())
        own = self._config.node_id, self._config.advertise_address
        self._tasks.start(Addressing(*own, self._group, self.node, self._channels).run())

    def complaint(self) -> str:
        """What is wrong with this manager, for the health service; empty if nothing is."""
        if self.failure.done():
            return f"this manager cannot go on: {self.failure.result()}"
        if self.node.leader is None:
            return "the managers have no leader"
        return self._leader.complaint()

    async def certify(self, present: Credentials) -> Credentials:
        """A new certificate for this very node, whose own ended while all were away; for the same
        key, by which others know it again should they not trust this one's root any more.

        Signed here: managers without certificates cannot agree on anything. Errors as of
        own_certificate, if its log does not say in time who it is.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OWN_STATE):
                await self._until(self._knows_itself)
        csr_pem = make_csr(present.key_pem)
        own = own_certificate(self.store, self._config.node_id, csr_pem, self._config.clock())
        return Credentials(present.key_pem, own.certificate_pem, own.ca_pem)

    async def leads(self) -> objects_pb2.Cluster:
        """Waits until it leads, which is soon where it is alone; the cluster as it is then."""
        await self._until(lambda: self.node.is_leader)
        return the_cluster(self.store)

    async def check_forcible(self) -> None:
        """REFUSED if others are there to agree with. Takes a while if they are not."""
        await check_lost(self._group, self.node)

    async def leave(self, *, force: bool) -> None:
        """Gives up the seat in the group; REFUSED if too few would be left to agree.

        With `force` the group is not asked for long: a manager that is alone or cut off just goes.
        """
        await leave_group(self._group, self._config.node_id, self.node, self._channels, force=force)

    async def stop(self) -> None:
        """Hands over if it leads, stops serving, and gives the folder up. Answers are durable.

        Goes on to its end though its caller is cancelled; whoever calls again waits for it too.
        """
        if self._stopping is None:
            self._tasks.may_end()
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        try:
            if self.node.is_leader and len(self._group.members()) > 1:
                await self.node.hand_over()
        except SwarmError as error:
            logger.warning("the lead is not handed over: %s", error)
        self._logs.end()
        await self._offer.stop(STOP_GRACE)
        await self._tasks.stop()
        await self._channels.close()
        await self._log.close()

    def operator_services(self) -> list[grpc.GenericRpcHandler]:
        """What the local socket offers to operators of this host."""
        return self._offer.to_operators()

    def _locking(self) -> Locking:
        return Locking(
            self.store, self._hub, self._config.relock, seal_anew=self.node.rotate_data_key
        )

    def _leader_address(self) -> str:
        leader: raft_pb2.Member | None = self.node.leader
        if leader is None or self.node.leader_id == self.node.raft_id:
            return ""
        return leader.address

    def _knows_itself(self) -> bool:
        return self.store.get(objects_pb2.Node, self._config.node_id) is not None

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Waits for the group or the state to be so; raises what ends this manager before."""
        changed = asyncio.Event()
        stop = self.node.subscribe(changed.set)
        watching = self._hub.subscribe(changed.set)
        self.failure.add_done_callback(lambda _: changed.set())
        try:
            async with asyncio.timeout(CATCH_UP):
                while not condition():
                    if self.failure.done():
                        raise self.failure.result()
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise SwarmError(
                Code.UNAVAILABLE,
                "this manager got no state from the others",
                why=f"its leader has not sent it within {CATCH_UP:.0f} s",
                remedy="check that the managers reach each other on the control port",
            ) from None
        finally:
            stop()
            self._hub.unsubscribe(watching)

    def _ended(self, error: BaseException) -> None:
        if not self.failure.done():
            logger.critical(
                "this manager cannot go on: %s",
                error,
                exc_info=None if isinstance(error, SwarmError) else error,
            )
            self.failure.set_result(error)
