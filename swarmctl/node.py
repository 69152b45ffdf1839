"""A host: what its daemon has from start to stop. The composition root: with swarmctl/lives.py the
only place that knows manager, worker and runtime at once.

Decides nothing: what a host is in a swarm is the affair of swarmctl/lives.py, what its operator may
ask swarmctl/host_service.py's.
"""

import asyncio
import logging
import secrets
from importlib.metadata import version

import grpc

from api.channel import SERVER_OPTIONS
from api.errors import Code, SwarmError
from api.generic import declared
from api.health import HealthService
from api.listener import Listener
from api.new_ids import new_id
from api.serving import ErrorInterceptor
from api.v1 import containers_pb2_grpc, health_pb2_grpc, host_pb2_grpc, objects_pb2
from hostkit import collector
from hostkit.clock import boot, monotonic, wall
from hostkit.loop_lag import LoopLag
from manager.ca.authorize import Authorizer
from manager.ca.roles import ROLES
from overlay_net.encrypt.encryption import Options
from overlay_net.encrypt.key_file import KeyFile
from overlay_net.encrypt.key_ring import KeyRing
from runtime.bundle import group_of
from runtime.conmon_driver import ConmonDriver
from runtime.image.endpoint import RegistryOptions
from runtime.image.store import ImageStore
from runtime.record import boot_id
from runtime.volume.drivers import Drivers
from runtime.volume.glusterfs import GlusterDriver
from runtime.volume.host import VolumeHost, containers_of
from runtime.volume.local import LocalDriver
from runtime.volume.nfs import NfsDriver
from runtime.volume.sshfs import SshfsDriver
from swarmctl import outside_volumes
from swarmctl.host_api.papers import Files
from swarmctl.host_api.server import HostApi
from swarmctl.host_parts import HostParts
from swarmctl.host_service import HostService
from swarmctl.lives import Lives
from swarmctl.local_socket import add_socket
from swarmctl.membership import MembershipStore
from swarmctl.outside_volumes import VolumesForDocker
from swarmctl.pinning import Pinning
from swarmctl.settings import Settings
from swarmctl.switch import Switch
from swarmctl.tidying import tidy
from worker.attachments import Attachments
from worker.container import ContainerExecutor
from worker.container_request import CONTAINER_ID_LABEL
from worker.names import Names
from worker.networks import open_networks
from worker.node_networks import NodeNetworks
from worker.standalone.containers import Containers
from worker.standalone.service import ContainersService
from worker.standalone.stacks import Stacks
from worker.standalone.storage import CONTAINERS_FILE, LocalStorage
from worker.volumes import Volumes

logger = logging.getLogger(__name__)

_SHARED = (SshfsDriver, GlusterDriver, NfsDriver)
STOP_GRACE = 0.5
"""Seconds that calls on the socket get when the daemon stops."""


def _networks(settings: Settings, names: Names | None) -> NodeNetworks:
    file = KeyFile(settings.state_dir / "wireguard.json")
    chance = secrets.SystemRandom().random
    ring = KeyRing(file, wall, chance, age=settings.network_key_age)
    group = f"{settings.cgroup_parent.rstrip('/')}-wireguard"
    options = Options(port=settings.wireguard_port, group=group)
    return open_networks(
        names,
        monotonic,
        ring,
        options,
        look_every=settings.look_at_networks_every,
        opens=settings.open_firewalls,
    )


def _volume_host(settings: Settings) -> VolumeHost:
    state = settings.state_dir / "volumes"
    return VolumeHost(
        state=settings.state_dir,
        run=settings.run_dir / "v",
        group=f"{settings.cgroup_parent.rstrip('/')}-volumes",
        drivers=Drivers(
            [
                LocalDriver(state, wall),
                *(kind(settings.state_dir / kind.name, wall) for kind in _SHARED),
            ],
            outside_volumes.sources(settings),
        ),
        cgroup_of=lambda container: group_of(settings.cgroup_parent, container),
        ids=new_id,
        wall=wall,
        boot_id=boot_id(),
    )


def _api_files(settings: Settings) -> Files | None:
    """Where the papers of this host's API are; None if it is not served."""
    cert, key, authority = settings.api_cert, settings.api_key, settings.api_ca
    if not settings.api_listen or cert is None or key is None or authority is None:
        return None
    return Files(cert, key, authority, settings.api_crl)


class Node:
    """The node of this host. Its folders are its alone: swarmctl/folders.py holds them.

    `names`: those of its tasks, answered already; None: it builds no networks.
    """

    def __init__(self, settings: Settings, names: Names | None) -> None:
        self.settings = settings
        registries = RegistryOptions(
            insecure=settings.insecure_registries, ca_files=settings.registry_cas
        )
        self._images = ImageStore(settings.state_dir / "images", options=registries, clock=wall)
        self._driver = ConmonDriver(
            state_dir=settings.state_dir / "containers",
            run_dir=settings.run_dir / "c",
            cgroup_parent=settings.cgroup_parent,
            clock=wall,
        )
        self._networks = _networks(settings, names)
        self._volumes = Volumes(_volume_host(settings), boot)
        self._volumes_for_docker = VolumesForDocker(settings, self._volumes.host)
        attachments = Attachments()
        stacks = Stacks(self._networks, lambda: self._containers.host)
        self._executor = ContainerExecutor(
            self._driver,
            self._images,
            files=settings.run_dir / "files",
            version=version("swarmctl"),
            labels=settings.labels,
            generic=declared(settings.node_generic_resources),
            networks=stacks,
            volumes=self._volumes,
        )
        self._containers = Containers(
            self._driver,
            ContainerExecutor(
                self._driver,
                self._images,
                files=settings.run_dir / "container-files",
                version=version("swarmctl"),
                networks=stacks,
                volumes=self._volumes,
                id_label=CONTAINER_ID_LABEL,
            ),
            self._networks,
            stacks,
            attachments,
            LocalStorage(settings.state_dir / CONTAINERS_FILE),
            ids=new_id,
            wall=wall,
        )
        self._switch = Switch()
        self._pinning = Pinning(registries, wall)
        self.lives = Lives(
            HostParts(
                state_dir=settings.state_dir,
                memberships=MembershipStore(settings.state_dir),
                executor=self._executor,
                networks=self._networks,
                volumes=self._volumes,
                attachments=attachments,
                switch=self._switch,
                ask_registry=self._pinning.ask,
                failed=self._fail,
            )
        )
        """What this host is in a swarm."""
        attachments.is_member = self.lives.is_member
        self._listener: Listener | None = None
        self._api: HostApi | None = None
        if (files := _api_files(settings)) is not None:
            self._api = HostApi(
                settings.api_listen,
                files,
                add=self._add_services,
                roots=self.lives.roots,
                is_operator=self.lives.is_operator,
            )
        self._lag = LoopLag(monotonic)
        self._beside: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[SwarmError] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Adopts the containers that run, goes on with the membership, serves on the socket.

        After a failure, or where it was cancelled, call `stop`.
        """
        states = await self._driver.recover()
        alive, present = containers_of(states)
        others = await self._volumes_for_docker.users()
        await self._volumes.host.recover(alive | others, present | others)
        await self._containers.recover(member=self.lives.is_member())
        await self.lives.prepare()
        collector.settle()
        # Bound when nothing can fail any more, and no thread runs that the umask would concern.
        listener = self._bind()
        self.lives.begin()
        await listener.start()
        await self._volumes_for_docker.start()
        self._beside = [
            asyncio.create_task(tidy(self._images)),
            asyncio.create_task(self._lag.run()),
            asyncio.create_task(collector.keep_pace()),
        ]
        if self._api is not None:
            self._beside.append(asyncio.create_task(self._api.run()))
        logger.info("swarmd listens on %s", self.settings.socket)

    async def stop(self) -> None:
        """Stops serving, and what was started. Containers live on. May be called at any time."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._api is not None:
            await self._api.stop(STOP_GRACE)
        if self._listener is not None:
            await self._listener.stop(STOP_GRACE)
        await self._volumes_for_docker.stop()
        await self.lives.stop()
        await self._containers.close()
        await self._volumes.close()
        self._pinning.close()
        await self._driver.close()
        await self._networks.close()

    async def failure(self) -> SwarmError:
        """Returns what makes it pointless to go on, once something does."""
        return await asyncio.shield(self._failed)

    async def describe(self) -> objects_pb2.NodeDescription:
        """What this host is and has."""
        return await self._executor.describe()

    def loop_lag(self) -> float:
        """The longest, in seconds, that a step has held this daemon up within the last minute."""
        return self._lag.worst()

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            known = error if isinstance(error, SwarmError) else None
            self._failed.set_result(
                known or SwarmError(Code.INTERNAL, "the node cannot go on", why=repr(error))
            )

    def _bind(self) -> Listener:
        server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), Authorizer(ROLES, lambda _: False)],
            options=SERVER_OPTIONS,
        )
        listener = self._listener = Listener(server)
        self._add_services(server)
        add_socket(server, self.settings.socket)
        return listener

    def _add_services(self, server: grpc.aio.Server) -> None:
        """What a host does for its operators, and for those of its swarm."""
        server.add_generic_rpc_handlers((self._switch,))
        host_pb2_grpc.add_HostServicer_to_server(
            HostService(self, self.lives, self._images, self._driver), server
        )
        containers_pb2_grpc.add_ContainersServicer_to_server(
            ContainersService(self._containers, self._volumes.host), server
        )
        parts = {"daemon": lambda: "", "swarm": self.lives.complaint}
        if self._api is not None:
            parts["api"] = self._api.complaint
        health_pb2_grpc.add_HealthServicer_to_server(HealthService(parts), server)
