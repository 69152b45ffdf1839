"""Which services hold on to which secrets and configs, and what the store refuses therefore. Pure.

A secret that is removed while a service comes to refer to it would leave tasks that can never
start. Whoever proposes either has looked before; only where the order is settled can both be
known. So the store refuses the later one of the two.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from api import files
from api.errors import Code, SwarmError
from api.v1 import objects_pb2, specs_pb2
from manager.state.changes import Action, Change

if TYPE_CHECKING:
    from manager.state.store import View

File: TypeAlias = objects_pb2.Secret | objects_pb2.Config

UNDER_WAY = frozenset(
    {
        objects_pb2.UpdateStatus.STATE_UPDATING,
        objects_pb2.UpdateStatus.STATE_PAUSED,
        objects_pb2.UpdateStatus.STATE_ROLLBACK_STARTED,
        objects_pb2.UpdateStatus.STATE_ROLLBACK_PAUSED,
    }
)
"""States of an update in which it may go back to the previous spec by itself."""


def keys_of(spec: specs_pb2.TaskSpec) -> frozenset[files.Key]:
    """The secrets and configs that a task of this spec needs."""
    found = files.references(spec.container)
    return frozenset((kind, reference.id) for kind, _, reference in found)


def find(view: "View", key: files.Key) -> File | None:
    """The secret or config, if it is there."""
    kind, file_id = key
    if kind == "secret":
        return view.get(objects_pb2.Secret, file_id)
    return view.get(objects_pb2.Config, file_id)


def key_of(file: File) -> files.Key:
    """Kind and id."""
    return "secret" if isinstance(file, objects_pb2.Secret) else "config", file.id


def users_of(view: "View", file: File) -> Iterator[objects_pb2.Service]:
    """Services that refer to it, now or in the spec that an update under way may go back to."""
    key = key_of(file)
    for service in view.all(objects_pb2.Service):
        specs = [service.spec]
        if service.update_status.state in UNDER_WAY:
            specs.append(service.previous_spec)
        if any(key in keys_of(spec.task) for spec in specs):
            yield service


def in_use(view: "View", file: File) -> SwarmError | None:
    """The refusal to remove what services or volumes use; None if nothing does."""
    services = [service.spec.annotations.name for service in users_of(view, file)]
    if services:
        return _in_use_by_services(file, services)
    volumes = [] if key_of(file)[0] == "config" else _volumes_with(view, file)
    return _in_use_by_volumes(file, volumes) if volumes else None


def _volumes_with(view: "View", secret: File) -> list[str]:
    name = secret.spec.annotations.name
    volumes = view.all(objects_pb2.Volume)
    return [
        v.spec.annotations.name for v in volumes if any(s.secret == name for s in v.spec.secrets)
    ]


def _in_use_by_volumes(secret: File, volumes: list[str]) -> SwarmError:
    return SwarmError(
        Code.REFUSED,
        f"secret {secret.spec.annotations.name} is in use",
        why=f"the driver of volume {', '.join(volumes)} asks for it",
        remedy="remove the volume first: swarmctl volume rm",
    )


def _in_use_by_services(file: File, users: list[str]) -> SwarmError:
    kind, _ = key_of(file)
    return SwarmError(
        Code.REFUSED,
        f"{kind} {file.spec.annotations.name} is in use",
        why=f"by service{'s' if len(users) > 1 else ''} {', '.join(users)}",
        remedy=f"take it from them first: swarmctl service update --{kind}-rm "
        f"{file.spec.annotations.name} {users[0]}",
    )


def refusal_of_files(view: "View", change: Change) -> SwarmError | None:
    """Why the change would leave a service without a file that it refers to, or None."""
    obj = change.object
    if isinstance(obj, objects_pb2.Service) and change.action is not Action.DELETE:
        return _missing(view, obj)
    if isinstance(obj, objects_pb2.Secret | objects_pb2.Config) and change.action is Action.DELETE:
        return in_use(view, obj)
    return None


def _missing(view: "View", service: objects_pb2.Service) -> SwarmError | None:
    wanted = keys_of(service.spec.task)
    if not wanted:
        return None
    before = view.get(objects_pb2.Service, service.id)
    if before is not None:
        # What it had already was looked at then: an orchestrator's write must not fail for it.
        wanted -= keys_of(before.spec.task) | keys_of(before.previous_spec.task)
    for kind, file_id in sorted(wanted):
        if find(view, (kind, file_id)) is None:
            return SwarmError(
                Code.CONFLICT,
                f"{kind} {file_id} was removed meanwhile",
                remedy="create it again, then repeat the change",
            )
    return None
