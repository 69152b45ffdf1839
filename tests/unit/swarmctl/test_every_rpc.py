"""Every RPC of api/v1 against everybody who might call it, at the doors of a real daemon.

The RPCs are read from the proto files: one that is in no row of the table fails the test.
"""

import asyncio
import importlib
import pkgutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from api import v1
from api.address import identity_address
from api.channel import ca_channel, node_channel, unix_channel
from api.enroll import enroll
from api.identity import CA_NAME, MANAGER_NAME, Credentials, make_csr, new_key
from api.v1 import control_pb2, control_pb2_grpc, health_pb2, health_pb2_grpc, host_pb2
from tests.support.daemon_process import LIMIT, Daemon
from tests.support.host_api import ApiDesk
from tests.support.trust import TrustedCluster
from tests.support.until import until_true

pytestmark = pytest.mark.root

DOORS = (
    "socket",
    "operator",
    "manager",
    "worker",
    "removed node",
    "removed operator",
    "of another swarm",
    "root alone",
    "identity port",
    "host API",
    "host API, operator",
    "host API, worker",
    "host API, removed operator",
    "host API, of another swarm",
)
"""Who calls, over the control port where nothing else is said. `root alone` has the root of the
swarm and no certificate; at the identity port nobody needs one. `host API` is the operator of the
host there, by his own authority; the others have papers of the swarm.
"""
AS_SOCKET = ("host API", "host API, operator")
"""What an operator may do over TLS is what he may do on the socket."""
EVERYBODY = frozenset({"socket", "operator", "manager", "worker"})
STEERING = EVERYBODY - {"worker"}
MEMBERS = frozenset({"manager", "worker"})
MANAGERS = frozenset({"manager"})
HOST = frozenset({"socket"})

TABLE: dict[str, dict[frozenset[str], str]] = {
    "Control": {
        EVERYBODY: "GetService ListServices GetTask ListTasks GetNode ListNodes GetCluster"
        " GetGroup Watch Events ExplainTask ExplainService GetNetwork GetNetworkUse ListNetworks"
        " GetVolume ListVolumes",
        STEERING: "CreateService UpdateService RemoveService UpdateNode RemoveNode UpdateCluster"
        " RotateJoinToken RotateRootCa GetUnlockKey Backup CreateOperator ListOperators"
        " RemoveOperator CreateSecret GetSecret ListSecrets UpdateSecret RemoveSecret"
        " CreateConfig GetConfig ListConfigs UpdateConfig RemoveConfig"
        " CreateNetwork UpdateNetwork RemoveNetwork"
        " CreateVolume UpdateVolume RemoveVolume ForceReleaseVolume MigrateVolume",
    },
    "Exec": {STEERING: "Run"},
    "ExecBroker": {MEMBERS: "Listen Attach"},
    "NetworkCheck": {EVERYBODY: "Check", STEERING: "Fix"},
    "CheckBroker": {MEMBERS: "Listen Report"},
    "VolumeBroker": {MEMBERS: "Listen Report Send Receive"},
    "VolumeData": {STEERING: "Backup Restore"},
    "Logs": {EVERYBODY: "Subscribe"},
    "LogBroker": {MEMBERS: "Listen Publish"},
    "Dispatcher": {
        MEMBERS: "Session Heartbeat Assignments UpdateTaskStatus UpdateVolumeStatus Attach"
    },
    "CaRenewal": {MEMBERS: "Renew"},
    "Ca": {frozenset({"operator", "manager", "worker", "identity port"}): "GetRoot Issue"},
    "Raft": {MANAGERS: "Exchange InstallSnapshot"},
    "ManagerGroup": {MANAGERS: "Join Leave"},
    "Host": {
        HOST: "Info InitSwarm JoinSwarm LeaveSwarm UnlockSwarm RestoreSwarm ReaddressSwarm"
        " PullImage LoadImage ListImages GetImage RemoveImage CheckLogin"
    },
    "Containers": {
        HOST: "CreateContainer StartContainer StopContainer RemoveContainer ListContainers"
        " InspectContainer ContainerLogs ConnectNetwork DisconnectNetwork CreateLocalNetwork"
        " RemoveLocalNetwork ListLocalNetworks ListLocalVolumes RemoveLocalVolume"
        " BackupLocalVolume RestoreLocalVolume"
    },
    "Health": {EVERYBODY: "Check"},
}
HARMLESS: dict[str, Message] = {
    "ReaddressSwarm": host_pb2.ReaddressSwarmRequest(advertise_address="no such interface"),
}
"""Where an empty request would change something: everywhere else it is refused by who serves it."""
LAST = "ManagerGroup.Leave"
"""After it the caller is no manager any more."""
_KEPT_OUT = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE,
}
_CONNECTED_OR_NOT = (
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
)
_PATIENCE = 1.0
"""Seconds that a stream which is let in may be silent."""
_LATER_CALLS = 2


class Rpc(NamedTuple):
    service: str
    method: MethodDescriptor

    @property
    def name(self) -> str:
        return f"{self.service}.{self.method.name}"


def rpcs() -> Iterator[Rpc]:
    """Those of all proto files."""
    for module in pkgutil.iter_modules(v1.__path__, "api.v1."):
        if module.name.endswith("_pb2"):
            services = importlib.import_module(module.name).DESCRIPTOR.services_by_name
            for service in services.values():
                yield from (Rpc(service.name, method) for method in service.methods)


def expected() -> dict[str, set[str]]:
    return {
        f"{service}.{rpc}": {*served, *(AS_SOCKET if "socket" in served else ())}
        for service, rows in TABLE.items()
        for served, names in rows.items()
        for rpc in names.split()
    }


def test_every_rpc_has_its_row() -> None:
    assert {each.name for each in rpcs()} == set(expected())


def test_every_rpc_serves_those_of_its_row_and_nobody_else() -> None:
    async def run() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {each.name: set() for each in rpcs()}
        with tempfile.TemporaryDirectory(prefix="d") as path:  # short, for the socket's sake
            async with doors(Path(path)) as channels:
                assert set(channels) == set(DOORS)
                for door, channel in channels.items():
                    if not await connects(channel):
                        continue  # no call can even be made
                    for rpc in sorted(rpcs(), key=lambda each: each.name == LAST):
                        if await is_let_in(channel, rpc):
                            found[rpc.name].add(door)
        return found

    assert asyncio.run(run()) == expected()


async def connects(channel: grpc.aio.Channel) -> bool:
    """Whether the two sides believe each other's certificates, as far as they need them."""
    state = channel.get_state(try_to_connect=True)
    async with asyncio.timeout(LIMIT):
        while state not in _CONNECTED_OR_NOT:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
    return state is grpc.ChannelConnectivity.READY


async def is_let_in(channel: grpc.aio.Channel, rpc: Rpc) -> bool:
    """Whether somebody serves the call, be it with a refusal of what is in the request."""
    kind = GetMessageClass(rpc.method.input_type)
    request = HARMLESS.get(rpc.method.name, kind())
    path = f"/{rpc.method.containing_service.full_name}/{rpc.method.name}"
    inputs = "stream" if rpc.method.client_streaming else "unary"
    outputs = "stream" if rpc.method.server_streaming else "unary"
    multi: Any = getattr(channel, f"{inputs}_{outputs}")(
        path, kind.SerializeToString, GetMessageClass(rpc.method.output_type).FromString
    )
    argument: Any = iter(()) if rpc.method.client_streaming else request
    try:
        async with asyncio.timeout(LIMIT):
            if not rpc.method.server_streaming:
                return await multi(argument, timeout=LIMIT).code() not in _KEPT_OUT
            call = multi(argument, timeout=LIMIT)
            try:
                await is_told(channel, call)
            finally:
                call.cancel()
            return await call.code() not in _KEPT_OUT
    except grpc.aio.AioRpcError as error:
        return error.code() not in _KEPT_OUT


async def is_told(channel: grpc.aio.Channel, call: Any) -> None:
    """Waits until the stream says something, or is silent for good: a refusal would have come
    before the answers to later calls.
    """
    reading = asyncio.ensure_future(call.read())
    await asyncio.wait({reading}, timeout=_PATIENCE)
    for _ in range(_LATER_CALLS):
        with suppress(grpc.aio.AioRpcError):
            ask = health_pb2_grpc.HealthStub(channel).Check
            await ask(health_pb2.HealthCheckRequest(), timeout=LIMIT)
    if reading.done():
        await reading
    else:
        reading.cancel()
        await asyncio.wait({reading})


@asynccontextmanager
async def doors(folder: Path) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """A channel for each of DOORS, to a daemon that is the one manager of its swarm."""
    desk = ApiDesk(folder)
    desk.provision()
    daemon = Daemon(folder, desk.options)
    daemon.start()
    try:
        daemon.info()
        daemon.init()
        until_true(lambda: daemon.health("api") == "", "the host's API is served")
        async with AsyncExitStack() as stack:
            local = await stack.enter_async_context(unix_channel(daemon.run / "swarmd.sock"))
            papers = await everybody(control_pb2_grpc.ControlStub(local), daemon.address)
            channels = {
                name: node_channel(daemon.address, credentials)
                for name, credentials in papers.items()
            }
            root = papers["manager"].ca_pem
            named = (("grpc.ssl_target_name_override", MANAGER_NAME),)
            channels["root alone"] = grpc.aio.secure_channel(
                daemon.address, grpc.ssl_channel_credentials(root), options=named
            )
            channels["identity port"] = ca_channel(identity_address(daemon.address), root)
            channels["host API"] = desk.aio_channel(desk.mine())
            for name in ("operator", "worker", "removed operator", "of another swarm"):
                channels[f"host API, {name}"] = desk.aio_channel(papers[name])
            for channel in channels.values():
                await stack.enter_async_context(channel)
            yield {"socket": local, **channels}
    finally:
        daemon.end()


async def everybody(control: Any, address: str) -> dict[str, Credentials]:
    """The papers of everybody who comes to the control port with some."""
    cluster = await control.GetCluster(control_pb2.GetClusterRequest(), timeout=LIMIT)
    tokens = cluster.root_ca
    papers = {
        "manager": (await enroll([address], tokens.manager_token)).credentials,
        "worker": (await enroll([address], tokens.worker_token)).credentials,
        "removed node": (await enroll([address], tokens.worker_token)).credentials,
        "operator": await operator(control, "alice"),
        "removed operator": await operator(control, "mallory"),
        "of another swarm": foreign(tokens.certificate_pem),
    }
    gone = papers["removed node"].identity.id
    for call, key in ((control.RemoveNode, gone), (control.RemoveOperator, "mallory")):
        request = control_pb2.RemoveRequest(key=key, request_id=f"rm {key}", force=True)
        await call(request, timeout=LIMIT)
    return papers


async def operator(control: Any, name: str) -> Credentials:
    key = new_key()
    request = control_pb2.CreateOperatorRequest(name=name, csr_pem=make_csr(key), request_id=name)
    made = await control.CreateOperator(request, timeout=LIMIT)
    return Credentials(key, made.certificate_pem, made.ca_pem)


def foreign(root: bytes) -> Credentials:
    """In order elsewhere; and it believes the root of this swarm."""
    mine = TrustedCluster().credentials("manager", CA_NAME)
    return Credentials(mine.key_pem, mine.certificate_pem, root)
