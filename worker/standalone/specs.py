"""What an operator asks for of a container that is no task: checked, and made one. Pure."""

from google.protobuf.timestamp_pb2 import Timestamp

from api import networks as rules
from api import validate
from api.errors import Code, SwarmError, invalid
from api.v1 import containers_pb2, specs_pb2
from worker.standalone import ports
from worker.standalone.clothes import MODES, SHARED, mode_of
from worker.task_place import BRIDGE

Container = containers_pb2.Container
Spec = containers_pb2.StandaloneSpec
Asked = specs_pb2.NetworkAttachmentSpec

_HOSTNAME_LENGTH = 12


def made(spec: Spec, container_id: str, now: Timestamp) -> Container:
    """The container; INVALID if no host could run it, UNSUPPORTED where a part has no effect.

    Logins of registries are not kept: its image is there by then.
    """
    filled = Spec()
    filled.CopyFrom(spec)
    filled.container.ClearField("registry_auth")
    filled.annotations.name = spec.annotations.name or container_id
    filled.container.hostname = spec.container.hostname or container_id[:_HOSTNAME_LENGTH]
    if not filled.networks:
        filled.networks.add(target=BRIDGE)
    _check(filled)
    container = Container(id=container_id, spec=filled, created_at=now)
    if not mode_of(filled):
        for asked in filled.networks:
            container.networks.add(name=asked.target, aliases=asked.aliases, asked=asked.addresses)
    return container


def refuse_connecting(container: Container, asked: Asked) -> None:
    """REFUSED or EXISTS if it cannot be put into a further network."""
    name, mode = container.spec.annotations.name, mode_of(container.spec)
    if mode:
        raise SwarmError(
            Code.REFUSED,
            f"container {name} cannot be connected to networks",
            why=f"it was made with network {mode}",
        )
    _check_network("network", asked)
    if any(asked.target in (each.name, each.network_id) for each in container.networks):
        raise SwarmError(
            Code.EXISTS, f"container {name} is connected to network {asked.target} already"
        )


def _check(spec: Spec) -> None:
    service = specs_pb2.ServiceSpec(annotations=spec.annotations)
    service.replicated.replicas = 1
    service.task.container.CopyFrom(spec.container)
    service.task.resources.CopyFrom(spec.resources)
    service.endpoint.ports.extend(spec.ports)
    validate.service_spec(service)
    ports.check(spec.ports)
    for field, is_set, what in (
        ("secrets", spec.container.secrets, "secrets are for tasks only"),
        ("configs", spec.container.configs, "configs are for tasks only"),
        ("health", spec.container.health.test, "only tasks have their health checked yet"),
    ):
        if is_set:
            raise SwarmError(Code.UNSUPPORTED, what, field=f"container.{field}")
    targets = [each.target for each in spec.networks]
    for index, asked in enumerate(spec.networks):
        alone = asked.target in MODES or asked.target.startswith(SHARED)
        if alone and (len(targets) > 1 or spec.ports or asked.aliases or asked.addresses):
            raise invalid(
                f"networks[{index}]",
                f"network {asked.target} goes with no other, and with no ports, names or addresses",
            )
        if not alone:
            _check_network(f"networks[{index}]", asked)
        if asked.target in targets[:index]:
            raise invalid(f"networks[{index}].target", f"{asked.target!r} is given twice")


def _check_network(path: str, asked: Asked) -> None:
    if not asked.target:
        raise invalid(f"{path}.target", "a network's name is needed")
    if asked.target in MODES or asked.target.startswith(SHARED):
        raise invalid(f"{path}.target", f"{asked.target} is no network to connect to")
    if asked.driver_options:
        raise invalid(f"{path}.driver_options", "no driver has options for a container")
    if asked.target == BRIDGE and (asked.aliases or asked.addresses):
        raise invalid(
            path,
            "on the default bridge nobody has a name, or an address of its own choosing",
            remedy="make a network: swarmctl network create --driver bridge",
        )
    rules.check_addresses(f"{path}.addresses", asked.addresses)
