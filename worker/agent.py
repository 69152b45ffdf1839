"""The agent of a node: puts the parts of `worker` together, and is their one face.

Tasks go on whatever happens here: while managers are away, while the daemon restarts, when it
stops. The agent decides nothing about them; managers do, and `task_machine` says how to follow.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

import grpc

from api.errors import SwarmError
from api.v1 import dispatcher_pb2, objects_pb2
from hostkit.clock import Clock
from hostkit.together import alongside
from worker.assigned import AssignedTasks
from worker.attachments import Attachments, PlaceKeeper
from worker.backoff import Chance
from worker.checks import CheckServer
from worker.connection import Connect, Connection
from worker.exec import CommandServer
from worker.executor import Executor
from worker.logs import LogPublisher
from worker.managers import ManagerAddress, Managers
from worker.node_networks import NodeNetworks, NoNetworks
from worker.node_volumes import NodeVolumes, NoVolumes, SendVolumes
from worker.reporter import Reporter, Send
from worker.session import Timing
from worker.storage import Storage
from worker.uninterrupted import uninterrupted
from worker.volume_orders import OrderServer

log = logging.getLogger(__name__)

SessionMessage = dispatcher_pb2.SessionMessage
OnSession = Callable[[SessionMessage], None]


def _ignore(_: SessionMessage) -> None:
    """What becomes of a manager's word that nobody wants to hear."""


class Agent:
    """One node's agent.

    `managers`: where to begin, beside those that `storage` knows; `connect`: a new channel to a
    manager's address with the node's present credentials; `on_session`: called with each message
    of the session stream (the node's role and availability, the managers, the root certificate).
    Storage and executor are the caller's, to be closed after `run` has returned.
    """

    def __init__(
        self,
        *,
        node_id: str,
        executor: Executor,
        storage: Storage,
        managers: Iterable[ManagerAddress],
        connect: Connect,
        wall: Clock,
        chance: Chance,
        timing: Timing | None = None,
        on_session: OnSession = _ignore,
        data_path: str = "",
        networks: NodeNetworks | None = None,
        volumes: NodeVolumes | None = None,
        attachments: Attachments | None = None,
    ) -> None:
        """`data_path`: the address at which this node's tunnels end; empty: where it is seen.

        `networks`: those of this host, which the executor joins tasks to; None: it builds none.
        `volumes`: those of this host, the executor's too; None: it has none.
        `attachments`: what is held of networks for containers of this host that are no tasks.
        """
        self._node_id = node_id
        self._attachments = attachments or Attachments()
        executor = self._executor = PlaceKeeper(executor, self._attachments, wall)
        self._networks = networks or NoNetworks()
        self._volumes = volumes or NoVolumes()
        self._storage = storage
        self._seeds = list(managers)
        self._managers = Managers(self._seeds)
        self._on_session = on_session
        self._data_path = data_path
        self._reporter = Reporter(storage)
        self._logs = LogPublisher(executor, chance)
        self._commands = CommandServer(executor, chance)
        self._orders = OrderServer(self._volumes, chance)
        self._tasks = AssignedTasks(
            node_id=node_id,
            executor=executor,
            storage=storage,
            reporter=self._reporter,
            wall=wall,
            chance=chance,
            on_readable=self._logs.offer,
        )
        self._connection = Connection(self._managers, self, connect, chance, timing or Timing())
        self._checks = CheckServer(self._networks, chance, self._connection.reopen)
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()

    async def run(self) -> None:
        """Recovers, then follows the managers until `stop`. SwarmError if it cannot recover.

        Containers are adopted first, and go on being driven before any manager is heard.
        """
        self._stopped.clear()
        try:
            await self._recover()
            await alongside(self._stopping.wait(), self._reporter.save(), self._connection.run())
        finally:
            await self._tasks.close()
            self._stopped.set()

    async def stop(self) -> None:
        """Makes `run` return, and waits for it. Containers are left running."""
        self._stopping.set()
        await self._stopped.wait()

    def reconnect(self) -> None:
        """Opens a new session, with the credentials of now."""
        self._connection.reopen()

    @property
    def trouble(self) -> SwarmError | None:
        """Why no manager is followed; None while one is, or none was tried yet."""
        return self._connection.trouble

    def tasks(self) -> Mapping[str, objects_pb2.Task]:
        """The tasks of this node by id, with the status that was last observed here."""
        return self._tasks.snapshot()

    def managers(self) -> list[ManagerAddress]:
        """The managers that the node knows of."""
        return list(self._managers.known)

    async def _recover(self) -> None:
        containers = await self._executor.recover()
        saved = await self._storage.load()
        living = [saved.last_seen(i) for i in containers if i in saved.tasks]
        unknown = set(containers) - saved.tasks.keys()
        await self._networks.restore(self._node_id, saved.networks, living, unknown)
        self._volumes.restore(saved.tasks.values())
        self._managers.replace([*saved.managers, *self._seeds])
        self._reporter.restore(
            {i: status for i, status in saved.statuses.items() if i in saved.unacknowledged}
        )
        self._tasks.restore(saved, containers)
        log.info("%d tasks and %d of their containers found", len(saved.tasks), len(containers))

    # --- session.Work -----------------------------------------------------------------------

    async def describe(self) -> objects_pb2.NodeDescription:
        """The node as it is now."""
        description = await self._executor.describe()
        description.data_path_address = self._data_path
        description.network_drivers.extend(self._networks.drivers())
        description.network_obstacles.extend(self._networks.obstacles())
        means = await self._networks.means()
        description.wireguard_key = means.key
        description.wireguard_address = means.address
        description.wireguard_port = means.port
        description.encrypted_by = means.by
        description.encryption_missing = means.missing
        description.volume_drivers.extend(await self._volumes.drivers())
        return description

    async def greet(self, message: SessionMessage) -> None:
        """Keeps the list of managers, makes another key if it is told to, passes the message on."""
        if self._managers.replace(message.managers):
            try:
                await self._storage.keep_managers(message.managers)
            except SwarmError as error:
                log.warning("the new list of managers is not kept: %s", error)
        if await self._networks.renew_key(message.node.spec.network_key_round):
            self.reconnect()  # to tell of it at once
        self._on_session(message)

    async def assign(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        """Follows the managers.

        First in what concerns networks: a task's are there before it starts, and nobody here is led
        to a task any more before it is stopped.
        """
        # A session that ends meanwhile is no reason to forget it: it is not told anew as news.
        await uninterrupted(self._follow_networks(message))
        self._volumes.follow(message)
        await self._tasks.assign(message)

    async def _follow_networks(self, message: dispatcher_pb2.AssignmentsMessage) -> None:
        news = await self._networks.follow(message)
        try:
            if news:
                await self._storage.keep_networks(news)
        except SwarmError as error:
            log.warning("networks will not be known if the daemon restarts: %s", error)

    def renewed(self, sent: float, applied: int) -> None:
        """Passes on that a heartbeat has renewed the leases."""
        self._volumes.renew(sent, applied)

    def has_leases(self) -> bool:
        """Whether there are any to renew."""
        return self._volumes.has_leases()

    async def deliver_volumes(self, send: SendVolumes) -> None:
        """Tells what became of volumes until `send` fails."""
        await self._volumes.deliver(send)

    def confirms(self) -> bool:
        """Whether what was assigned is all that the node knows of networks."""
        return self._networks.confirms()

    async def deliver(self, send: Send) -> None:
        """Reports statuses until `send` fails."""
        await self._reporter.deliver(send)

    async def serve_logs(self, channel: grpc.aio.Channel) -> None:
        """Answers wishes for logs until it is cancelled."""
        await self._logs.serve(channel, self._tasks.readable)

    async def serve_attachments(self, channel: grpc.aio.Channel) -> None:
        """Asks for places in networks until it is cancelled."""
        await self._attachments.serve(channel)

    async def serve_commands(self, channel: grpc.aio.Channel) -> None:
        """Runs commands in tasks until it is cancelled."""
        await self._commands.serve(channel, self._tasks.find)

    async def serve_checks(self, channel: grpc.aio.Channel) -> None:
        """Looks at networks when asked, until it is cancelled."""
        await self._checks.serve(channel)

    async def serve_volume_orders(self, channel: grpc.aio.Channel) -> None:
        """Lets drivers do what is asked, until it is cancelled."""
        await self._orders.serve(channel)
