"""Containers of a lab host that are no tasks, through the API on its daemon's socket."""

from typing import Any, cast

import grpc
from google.protobuf.message import Message

from api import status
from api.v1 import containers_pb2, containers_pb2_grpc, specs_pb2
from tests.support.cluster import TOOLS, Swarm

Container = containers_pb2.Container
LIMIT = 40.0


class LoneContainers:
    """Of one host. They are not the swarm's: who makes one removes it."""

    def __init__(self, swarm: Swarm, host: str) -> None:
        self._swarm = swarm
        self.host = host

    def __enter__(self) -> "LoneContainers":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.every():
            self.remove(each.id)

    def run(self, name: str, script: str, *networks: str, ports: tuple[int, ...] = ()) -> Container:
        """A container of this name that runs a script; `ports` lead to its port 80."""
        spec = containers_pb2.StandaloneSpec()
        spec.annotations.name = name
        spec.container.image = TOOLS
        spec.container.command.extend(("sh", "-c", script))
        for network in networks:
            target, _, alias = network.partition("=")
            spec.networks.add(target=target, aliases=filter(None, [alias]))
        for port in ports:
            mode = specs_pb2.PortConfig.PUBLISH_MODE_HOST
            spec.ports.add(target_port=80, published_port=port, mode=mode)
        request = containers_pb2.CreateContainerRequest(spec=spec)
        made: Container = self._call("CreateContainer", request)
        started: Container = self._call(
            "StartContainer", containers_pb2.ContainerRequest(key=made.id)
        )
        return started

    def inspect(self, name: str) -> Container:
        found: Container = self._call("InspectContainer", containers_pb2.ContainerRequest(key=name))
        return found

    def every(self) -> list[Container]:
        answer: containers_pb2.ListContainersResponse = self._call(
            "ListContainers", containers_pb2.ListContainersRequest(all=True)
        )
        return list(answer.containers)

    def remove(self, key: str) -> None:
        self._call("RemoveContainer", containers_pb2.RemoveContainerRequest(key=key, force=True))

    def says(self, name: str, script: str) -> list[str]:
        """What a script says in a container that runs."""
        pid = str(self.inspect(name).pid)
        words = ("nsenter", "-a", "-t", pid, "sh", "-c", script)
        return self._swarm.inside(self.host, *words, code=None).lines

    def _call(self, method: str, request: Message) -> Any:
        socket = self._swarm.host(self.host).paths.swarm_socket
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            stub = containers_pb2_grpc.ContainersStub(channel)
            try:
                return getattr(stub, method)(request, timeout=LIMIT)
            except grpc.RpcError as error:
                raise status.from_grpc(cast(grpc.Call, error), method) from error
