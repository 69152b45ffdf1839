"""The Host service of api/v1/host.proto: what one host does for its own operators.

Translates calls; the work is done by the node, the image store and the container driver.
"""

import asyncio
import json
import platform
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from api.errors import invalid
from api.serving import Context
from api.times import duration, timestamp
from api.v1 import host_pb2, host_pb2_grpc, objects_pb2, types_pb2
from runtime.driver import IMAGE_LABEL, MOUNTED_LABEL, ContainerDriver, Fingerprint
from runtime.image.auth import parse_registry_auth
from runtime.image.selection import select
from runtime.image.store import ImageStore, StoredImage
from swarmctl.settings import Settings


class Node(Protocol):
    """What this service asks of the daemon; swarmctl/node.py is one."""

    settings: Settings

    async def describe(self) -> objects_pb2.NodeDescription:
        """What this host is and has."""

    def loop_lag(self) -> float:
        """How long a step has held the daemon up at most, in seconds."""


class Lives(Protocol):
    """What leads this host into a swarm and out of it; swarmctl/lives.py does."""

    async def init(self, request: host_pb2.InitSwarmRequest) -> host_pb2.InitSwarmResponse:
        """Makes a new swarm."""

    async def join(self, request: host_pb2.JoinSwarmRequest) -> host_pb2.JoinSwarmResponse:
        """Joins an existing one."""

    async def restore(
        self, head: host_pb2.RestoreHead, sealed: bytes
    ) -> host_pb2.InitSwarmResponse:
        """Brings one back out of a backup."""

    async def readdress(
        self, request: host_pb2.ReaddressSwarmRequest
    ) -> host_pb2.ReaddressSwarmResponse:
        """Gives a manager another address."""

    async def unlock(self, request: host_pb2.UnlockSwarmRequest) -> None:
        """Goes on in it with keys that were locked."""

    async def leave(self, *, force: bool) -> None:
        """Leaves it."""

    def info(self) -> host_pb2.SwarmInfo:
        """Its place in a swarm."""


class HostService(host_pb2_grpc.HostServicer):
    """Serves the operator on this host."""

    def __init__(
        self, node: Node, lives: Lives, images: ImageStore, driver: ContainerDriver
    ) -> None:
        self._node = node
        self._lives = lives
        self._images = images
        self._driver = driver

    async def Info(self, request: host_pb2.InfoRequest, context: Context) -> host_pb2.InfoResponse:
        """This host, its swarm, its containers."""
        containers = await self._driver.list()
        description = await self._node.describe()
        return host_pb2.InfoResponse(
            version=version("swarmctl"),
            python=platform.python_version(),
            kernel=platform.release(),
            os=_os_name(),
            description=description,
            swarm=self._lives.info(),
            state_dir=str(self._node.settings.state_dir),
            images=len(self._images.list()),
            containers=len(containers),
            containers_running=sum(each.phase == "running" for each in containers),
            warnings=warnings_of(description, await self._driver.fingerprint()),
            loop_lag=duration(self._node.loop_lag()),
        )

    async def InitSwarm(
        self, request: host_pb2.InitSwarmRequest, context: Context
    ) -> host_pb2.InitSwarmResponse:
        """Makes this host the first manager of a new swarm."""
        return await self._lives.init(request)

    async def JoinSwarm(
        self, request: host_pb2.JoinSwarmRequest, context: Context
    ) -> host_pb2.JoinSwarmResponse:
        """Makes this host a node of an existing swarm."""
        return await self._lives.join(request)

    async def LeaveSwarm(
        self, request: host_pb2.LeaveSwarmRequest, context: Context
    ) -> host_pb2.LeaveSwarmResponse:
        """Takes this host out of its swarm."""
        await self._lives.leave(force=request.force)
        return host_pb2.LeaveSwarmResponse()

    async def UnlockSwarm(
        self, request: host_pb2.UnlockSwarmRequest, context: Context
    ) -> host_pb2.UnlockSwarmResponse:
        """Unlocks the keys of a manager, which goes on where it was stopped."""
        await self._lives.unlock(request)
        return host_pb2.UnlockSwarmResponse()

    async def RestoreSwarm(
        self, request_iterator: AsyncIterator[host_pb2.RestoreSwarmRequest], context: Context
    ) -> host_pb2.InitSwarmResponse:
        """Makes this host the one manager of the swarm in a backup."""
        head = host_pb2.RestoreHead()
        parts: list[bytes] = []
        async for request in request_iterator:
            if request.HasField("head"):
                head.CopyFrom(request.head)
            else:
                parts.append(request.data)
        return await self._lives.restore(head, b"".join(parts))

    async def ReaddressSwarm(
        self, request: host_pb2.ReaddressSwarmRequest, context: Context
    ) -> host_pb2.ReaddressSwarmResponse:
        """Gives this manager another address, and tells its group."""
        return await self._lives.readdress(request)

    async def PullImage(
        self, request: host_pb2.PullImageRequest, context: Context
    ) -> AsyncIterator[host_pb2.ImageProgress]:
        """Pulls an image and tells how far it is."""
        messages: asyncio.Queue[host_pb2.ImageProgress | None] = asyncio.Queue()
        wanted = request.platform if request.HasField("platform") else None
        pull = asyncio.create_task(
            self._images.pull(
                request.reference,
                platform=wanted,
                progress=messages.put_nowait,
                credentials=parse_registry_auth(request.registry_auth),
            )
        )
        pull.add_done_callback(lambda _: messages.put_nowait(None))
        try:
            while (message := await messages.get()) is not None:
                yield message
            image = await pull
            yield host_pb2.ImageProgress(
                status="done", digest=image.digests[0] if image.digests else image.id
            )
        finally:
            pull.cancel()
            # Its caller may have left before it heard of a failure.
            await asyncio.gather(pull, return_exceptions=True)

    async def LoadImage(
        self, request_iterator: AsyncIterator[host_pb2.LoadImageRequest], context: Context
    ) -> host_pb2.LoadImageResponse:
        """Takes images out of an archive."""

        async def chunks() -> AsyncIterator[bytes]:
            async for request in request_iterator:
                yield request.chunk

        return host_pb2.LoadImageResponse(references=await self._images.load(chunks()))

    async def ListImages(
        self, request: host_pb2.ListImagesRequest, context: Context
    ) -> host_pb2.ListImagesResponse:
        """Images on this host, newest first."""
        found = select(self._images.list(), request, self._images.get)
        return host_pb2.ListImagesResponse(images=map(_image, found))

    async def GetImage(self, request: host_pb2.GetImageRequest, context: Context) -> host_pb2.Image:
        """One image with its configuration."""
        return _image(self._images.get(request.reference), with_config=True)

    async def RemoveImage(
        self, request: host_pb2.RemoveImageRequest, context: Context
    ) -> host_pb2.RemoveImageResponse:
        """Removes a name of an image, and with its last name the image."""
        untagged, deleted = await self._images.remove(
            request.reference, force=request.force, in_use=self._images_in_use
        )
        return host_pb2.RemoveImageResponse(untagged=untagged, deleted=deleted)

    async def _images_in_use(self) -> set[str]:
        found: set[str] = set()
        for each in await self._driver.list():
            found.add(each.labels.get(IMAGE_LABEL, ""))
            found.update(each.labels.get(MOUNTED_LABEL, "").split(","))
        return found

    async def CheckLogin(
        self, request: host_pb2.CheckLoginRequest, context: Context
    ) -> host_pb2.CheckLoginResponse:
        """Whether a registry knows a user."""
        user = parse_registry_auth(request.registry_auth)
        if user is None:
            raise invalid("registry_auth", "a user name and a password are needed")
        await self._images.check_login(request.registry, user)
        return host_pb2.CheckLoginResponse()


def _image(image: StoredImage, *, with_config: bool = False) -> host_pb2.Image:
    return host_pb2.Image(
        id=image.id,
        references=image.references,
        digests=image.digests,
        size_bytes=image.size_bytes,
        created_at=timestamp(image.created_at),
        platform=types_pb2.Platform(
            architecture=image.config.get("architecture", ""), os=image.config.get("os", "")
        ),
        config_json=json.dumps(image.config) if with_config else "",
    )


def warnings_of(description: objects_pb2.NodeDescription, found: Fingerprint) -> list[str]:
    """What a host lacks, and which tasks it will therefore not run."""
    warnings = [
        f"this host has no {name} controller: tasks with such a limit are not placed here"
        for name in description.missing_controllers
        if name != "swap"
    ]
    if "swap" in description.missing_controllers:
        warnings.append(
            "this host's kernel does not account swap: tasks with --memory-swap are not placed here"
        )
    if not found.init:
        warnings.append("tini is not installed: tasks with --init are rejected here")
    return warnings


def _os_name() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip('"')
    return platform.system()
