"""A CSI driver in a process of its own: real gRPC on a real socket, with real bind mounts.

    python -m tests.support.csi_driver SOCKET FOLDER NODE

NODE is what it calls the node that it runs on. Its storage is FOLDER/storage, shared by all nodes
that have it. It holds its caller to the order of calls that the specification demands, and keeps
what it knows in files, so that it may die at any moment; it dies once its standard input ends. It
writes every call to FOLDER/calls, and obeys FOLDER/script.json: "capabilities" lists what it can,
and for each call one of {"hang": true}, {"crash": true}, {"code": NAME, "times": N},
{"pretend": true}, {"answer": FIELDS}; with "late": true after the work is done instead of before.
"""

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from hostkit import mount
from runtime.volume.csi.v1 import csi_pb2, csi_pb2_grpc

ROOT_DEVICE = 0x0700  # the number of loop0: nobody opens it
_SERVICES = ("Identity", "Controller", "Node")


def replace(path: Path, text: str) -> None:
    """Writes a file at once: whoever reads it meanwhile, in whatever process, finds all of it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_text(text)
    fresh.replace(path)


class Refused(Exception):
    """A call that ends with a status."""

    def __init__(self, code: grpc.StatusCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class Storage:
    """What the driver knows, in files."""

    def __init__(self, folder: Path, node: str) -> None:
        self.folder = folder
        self.node = node
        self.volumes = folder / "storage"
        self.volumes.mkdir(parents=True, exist_ok=True)

    def script(self) -> dict[str, Any]:
        path = self.folder / "script.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def can(self, capability: str) -> bool:
        return capability in self.script().get("capabilities", ())

    def data(self, id: str) -> Path:
        path = self.volumes / id
        if not path.exists():
            raise Refused(grpc.StatusCode.NOT_FOUND, f"no volume {id}")
        return path

    def note(self, id: str, kind: str) -> set[str]:
        path = self.folder / f"{id}.{kind}"
        return set(json.loads(path.read_text())) if path.exists() else set()

    def keep(self, id: str, kind: str, values: set[str]) -> None:
        replace(self.folder / f"{id}.{kind}", json.dumps(sorted(values)))


def of_identity(storage: Storage, request: Any) -> Message:
    match request:
        case csi_pb2.GetPluginInfoRequest():
            return csi_pb2.GetPluginInfoResponse(name="csi.test", vendor_version="1")
        case csi_pb2.ProbeRequest():
            return csi_pb2.ProbeResponse()
    kinds = ["CONTROLLER_SERVICE"]
    if storage.can("TOPOLOGY"):
        kinds.append("VOLUME_ACCESSIBILITY_CONSTRAINTS")
    named = csi_pb2.PluginCapability.Service.Type.Value
    return csi_pb2.GetPluginCapabilitiesResponse(
        capabilities=[
            csi_pb2.PluginCapability(service=csi_pb2.PluginCapability.Service(type=named(kind)))
            for kind in kinds
        ]
    )


def of_controller(storage: Storage, request: Any) -> Message:
    match request:
        case csi_pb2.ControllerGetCapabilitiesRequest():
            rpc = csi_pb2.ControllerServiceCapability.RPC
            return csi_pb2.ControllerGetCapabilitiesResponse(
                capabilities=[
                    csi_pb2.ControllerServiceCapability(rpc=rpc(type=number))
                    for name, number in rpc.Type.items()
                    if storage.can(name)
                ]
            )
        case csi_pb2.CreateVolumeRequest():
            return create(storage, request)
        case csi_pb2.DeleteVolumeRequest():
            if storage.note(request.volume_id, "open"):
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "it is open to a node")
            storage.keep(request.volume_id, "deleted", {"yes"})
            path = storage.volumes / request.volume_id
            if path.exists():
                path.rename(storage.folder / f"deleted.{request.volume_id}")
            return csi_pb2.DeleteVolumeResponse()
        case csi_pb2.ControllerPublishVolumeRequest():
            return open_to(storage, request)
        case csi_pb2.ControllerUnpublishVolumeRequest():
            storage.data(request.volume_id)
            nodes = storage.note(request.volume_id, "open") - {request.node_id}
            storage.keep(request.volume_id, "open", nodes)
            return csi_pb2.ControllerUnpublishVolumeResponse()
        case csi_pb2.ValidateVolumeCapabilitiesRequest():
            storage.data(request.volume_id)
            answer = csi_pb2.ValidateVolumeCapabilitiesResponse()
            answer.confirmed.volume_capabilities.extend(request.volume_capabilities)
            return answer
        case csi_pb2.GetCapacityRequest():
            return csi_pb2.GetCapacityResponse(available_capacity=1 << 30)
    return listed(storage, request)


def create(storage: Storage, request: csi_pb2.CreateVolumeRequest) -> Message:
    asked = json_format.MessageToDict(request)
    asked.pop("secrets", None)
    id = f"vol-{request.name}"
    path = storage.folder / f"{id}.asked"
    if path.exists() and json.loads(path.read_text()) != asked:
        raise Refused(grpc.StatusCode.ALREADY_EXISTS, "another one of that name is there")
    replace(path, json.dumps(asked))
    if not (storage.volumes / id).exists():
        if request.volume_capabilities[0].HasField("block"):
            os.mknod(storage.volumes / id, stat.S_IFBLK | 0o600, ROOT_DEVICE)
        else:
            (storage.volumes / id).mkdir()
    answer = csi_pb2.CreateVolumeResponse()
    answer.volume.volume_id = id
    answer.volume.volume_context["made-by"] = "test"
    answer.volume.capacity_bytes = request.capacity_range.required_bytes
    answer.volume.accessible_topology.extend(request.accessibility_requirements.requisite[:1])
    return answer


def open_to(storage: Storage, request: csi_pb2.ControllerPublishVolumeRequest) -> Message:
    storage.data(request.volume_id)
    if dict(request.volume_context) != {"made-by": "test"}:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the volume's context is another")
    nodes = storage.note(request.volume_id, "open")
    mode = request.volume_capability.access_mode.mode
    single = mode < csi_pb2.VolumeCapability.AccessMode.MULTI_NODE_READER_ONLY or mode > 5
    if single and nodes - {request.node_id}:
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, f"{', '.join(sorted(nodes))} has it")
    storage.keep(request.volume_id, "open", nodes | {request.node_id})
    answer = csi_pb2.ControllerPublishVolumeResponse()
    answer.publish_context["opened-to"] = request.node_id
    return answer


def listed(storage: Storage, request: csi_pb2.ListVolumesRequest) -> Message:
    ids = sorted(path.name for path in storage.volumes.iterdir())
    start = int(request.starting_token or 0)
    answer = csi_pb2.ListVolumesResponse()
    for id in ids[start : start + 2]:  # small pages, so that there are several
        entry = answer.entries.add()
        entry.volume.volume_id = id
        entry.status.published_node_ids.extend(sorted(storage.note(id, "open")))
    if start + 2 < len(ids):
        answer.next_token = str(start + 2)
    return answer


def of_node(storage: Storage, request: Any) -> Message:
    match request:
        case csi_pb2.NodeGetCapabilitiesRequest():
            rpc = csi_pb2.NodeServiceCapability.RPC
            return csi_pb2.NodeGetCapabilitiesResponse(
                capabilities=[
                    csi_pb2.NodeServiceCapability(rpc=rpc(type=number))
                    for name, number in rpc.Type.items()
                    if storage.can(name)
                ]
            )
        case csi_pb2.NodeGetInfoRequest():
            info = csi_pb2.NodeGetInfoResponse(node_id=storage.node)
            if storage.can("TOPOLOGY"):
                info.accessible_topology.segments["zone"] = "a"
            return info
        case csi_pb2.NodeStageVolumeRequest():
            return stage(storage, request)
        case csi_pb2.NodePublishVolumeRequest():
            return show(storage, request)
        case csi_pb2.NodeUnpublishVolumeRequest():
            hide(Path(request.target_path))
            left = storage.note(request.volume_id, f"shown.{storage.node}") - {request.target_path}
            storage.keep(request.volume_id, f"shown.{storage.node}", left)
            return csi_pb2.NodeUnpublishVolumeResponse()
    if storage.note(request.volume_id, f"shown.{storage.node}"):
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "it is still published on the node")
    hide(Path(request.staging_target_path), keep=True)
    storage.keep(request.volume_id, f"staged.{storage.node}", set())
    return csi_pb2.NodeUnstageVolumeResponse()


def stage(storage: Storage, request: csi_pb2.NodeStageVolumeRequest) -> Message:
    let_in(storage, request)
    staging = Path(request.staging_target_path)
    if not staging.is_dir():
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the staging folder is not there")
    data = storage.data(request.volume_id)
    if data.is_dir() and not is_mounted(staging):
        bind(data, staging)
    storage.keep(request.volume_id, f"staged.{storage.node}", {str(staging)})
    return csi_pb2.NodeStageVolumeResponse()


def show(storage: Storage, request: csi_pb2.NodePublishVolumeRequest) -> Message:
    let_in(storage, request)
    id, target = request.volume_id, Path(request.target_path)
    source = storage.data(id)
    if storage.can("STAGE_UNSTAGE_VOLUME"):
        if request.staging_target_path not in storage.note(id, f"staged.{storage.node}"):
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "it was not staged there")
        source = Path(request.staging_target_path) if source.is_dir() else source
    if storage.note(id, f"shown.{storage.node}") - {str(target)}:
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "it is published elsewhere on the node")
    storage.keep(id, f"shown.{storage.node}", {str(target)})
    if not is_mounted(target):
        if source.is_dir():
            target.mkdir()
        else:
            target.touch(exist_ok=False)
        bind(source, target)
    return csi_pb2.NodePublishVolumeResponse()


def let_in(storage: Storage, request: Any) -> None:
    """Whether the storage lets this node in."""
    if dict(request.volume_context) != {"made-by": "test"}:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the volume's context is another")
    if storage.can("PUBLISH_UNPUBLISH_VOLUME") and (
        dict(request.publish_context) != {"opened-to": storage.node}
        or storage.node not in storage.note(request.volume_id, "open")
    ):
        raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "it was not opened to this node")


def bind(source: Path, target: Path) -> None:
    mount.mount(str(source), target, "", mount.MS_BIND)


def is_mounted(path: Path) -> bool:
    return path in mount.mount_points(path)


def hide(path: Path, *, keep: bool = False) -> None:
    while is_mounted(path):
        mount.unmount(path)
    if keep or not path.exists():
        return
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()


class Calls:
    """Obeys the script around every call."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.lock = threading.Lock()

    def answer(
        self, work: Callable[[Storage, Any], Message], request: Message, context: Any
    ) -> Message:
        call = type(request).__name__.removesuffix("Request")
        with (self.storage.folder / "calls").open("a") as calls:
            calls.write(json.dumps([call, json_format.MessageToDict(request)]) + "\n")
        order = self.storage.script().get(call, {})
        if not order.get("late"):
            self.obey(order, call, context)
        if order.get("pretend"):
            return empty(call)
        if "answer" in order:
            return json_format.ParseDict(order["answer"], empty(call))
        try:
            with self.lock:
                done = work(self.storage, request)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        if order.get("late"):
            self.obey(order, call, context)
        return done

    def obey(self, order: dict[str, Any], call: str, context: Any) -> None:
        if order.get("hang"):
            time.sleep(600)
        if order.get("crash"):
            (self.storage.folder / f"{self.storage.node}.crashed").touch()
            os._exit(1)
        if "code" in order and self.times(call) <= order.get("times", 1 << 30):
            context.abort(grpc.StatusCode[order["code"]], order.get("why", "as it was told"))

    def times(self, call: str) -> int:
        lines = (self.storage.folder / "calls").read_text().splitlines()
        return sum(1 for line in lines if json.loads(line)[0] == call)


def empty(call: str) -> Message:
    made: Message = getattr(csi_pb2, f"{call}Response")()
    return made


def serve(service: str, work: Callable[[Storage, Any], Message], calls: Calls) -> Any:
    """An object with a method for each call of the service."""
    described = csi_pb2.DESCRIPTOR.services_by_name[service]

    def method(self: object, request: Message, context: Any) -> Message:
        return calls.answer(work, request, context)

    return type(service, (), {each.name: method for each in described.methods})()


def die_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    listens, folder, node = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    listens.parent.mkdir(parents=True, exist_ok=True)
    listens.unlink(missing_ok=True)
    threading.Thread(target=die_with_input, daemon=True).start()
    calls = Calls(Storage(folder, node))
    server = grpc.server(futures.ThreadPoolExecutor(8))
    for service, work in zip(_SERVICES, (of_identity, of_controller, of_node), strict=True):
        add = getattr(csi_pb2_grpc, f"add_{service}Servicer_to_server")
        add(serve(service, work, calls), server)
    server.add_insecure_port(f"unix:{listens}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
