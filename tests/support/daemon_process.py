"""swarmd as a process of its own, in folders of a test. Needs root.

It leaves the network alone, which is that of the machine.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc

from api.v1 import (
    control_pb2,
    control_pb2_grpc,
    health_pb2,
    health_pb2_grpc,
    host_pb2,
    host_pb2_grpc,
    specs_pb2,
)
from tests.support.ports import free_pair

LIMIT = 30.0


class Daemon:
    """One host's folders, and the daemon that runs in them from time to time."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.options = list(options)
        self.state, self.run = folder / "s", folder / "r"
        self.log = folder / "log"
        self.address = f"127.0.0.1:{free_pair()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, run: Path | None = None, state: Path | None = None) -> None:
        command = [sys.executable, "-c", "from swarmctl.daemon import main; main()"]
        options = ["--state-dir", state or self.state, "--run-dir", run or self.run]
        options += ["--cgroup-parent", "/swarmtest", "--networks", "none", *self.options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *map(str, options)],
                stdout=log,
                stderr=log,
            )

    def ends(self) -> tuple[int, str]:
        """Its exit code and last line."""
        assert self.process is not None
        code = self.process.wait(LIMIT)
        return code, self.log.read_text().rstrip().rpartition("\n")[2]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        return self.ends()

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        with grpc.insecure_channel(f"unix:{self.run / 'swarmd.sock'}") as channel:
            yield channel

    def info(self) -> host_pb2.InfoResponse:
        with self.channel() as channel:
            ask = host_pb2_grpc.HostStub(channel).Info
            return ask(host_pb2.InfoRequest(), timeout=LIMIT, wait_for_ready=True)

    def init(self, *, autolock: bool = False) -> None:
        request = host_pb2.InitSwarmRequest(
            advertise_address=self.address,
            listen_address=self.address,
            spec=specs_pb2.ClusterSpec(autolock=autolock),
        )
        with self.channel() as channel:
            ask = host_pb2_grpc.HostStub(channel).InitSwarm
            ask(request, timeout=LIMIT, wait_for_ready=True)

    def leave(self, *, force: bool = True) -> None:
        with self.channel() as channel:
            ask = host_pb2_grpc.HostStub(channel).LeaveSwarm
            ask(host_pb2.LeaveSwarmRequest(force=force), timeout=LIMIT)

    def health(self, part: str) -> str:
        """What is wrong with a part of it; empty if nothing is."""
        with self.channel() as channel:
            ask = health_pb2_grpc.HealthStub(channel).Check
            return str(ask(health_pb2.HealthCheckRequest(service=part), timeout=LIMIT).message)

    def unlock_key(self) -> str:
        with self.channel() as channel:
            ask = control_pb2_grpc.ControlStub(channel).GetUnlockKey
            return ask(control_pb2.GetUnlockKeyRequest(), timeout=LIMIT).key

    def unlock(self, key: str) -> None:
        with self.channel() as channel:
            ask = host_pb2_grpc.HostStub(channel).UnlockSwarm
            ask(host_pb2.UnlockSwarmRequest(key=key), timeout=LIMIT)

    def set_lock(self, *, autolock: bool = True, rotate: bool = False) -> None:
        with self.channel() as channel:
            control = control_pb2_grpc.ControlStub(channel)
            cluster = control.GetCluster(control_pb2.GetClusterRequest(), timeout=LIMIT)
            request = control_pb2.UpdateClusterRequest(
                spec=cluster.spec,
                version=cluster.meta.version,
                request_id=f"lock{cluster.meta.version}",
                rotate_unlock_key=rotate,
            )
            request.spec.autolock = autolock
            control.UpdateCluster(request, timeout=LIMIT)

    def key_file(self) -> str:
        return (self.state / "swarm" / "manager.key").read_text()

    def create(self, name: str, size: int = 0) -> None:
        """A service without tasks whose spec has about `size` bytes."""
        spec = specs_pb2.ServiceSpec(replicated=specs_pb2.ReplicatedMode())
        spec.annotations.name = name
        spec.task.container.image = "box"
        spec.task.container.labels["x"] = "x" * size
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=name)
        with self.channel() as channel:
            control_pb2_grpc.ControlStub(channel).CreateService(request, timeout=LIMIT)

    def services(self) -> int:
        with self.channel() as channel:
            ask = control_pb2_grpc.ControlStub(channel).ListServices
            pieces = ask(control_pb2.ListServicesRequest(), timeout=LIMIT)
            return sum(len(piece.services) for piece in pieces)
