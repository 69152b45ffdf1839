"""What operators may do with services: checks, then one proposal; a retry has no second effect."""

from collections.abc import Sequence

from api import validate, wellformed
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.placeholders import specimen
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.control.images import AskRegistry, check_login, no_registry, settled, without_logins
from manager.control.not_yet import refuse_not_yet
from manager.control.references import with_ids
from manager.control.resolve import resolve
from manager.state.changes import batch, copy, create, delete, update
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store
from runtime.image.reference import parse as parse_reference


class Services:
    """Create, update and remove services."""

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        ids: IdSource,
        *,
        ask_registry: AskRegistry = no_registry,
    ) -> None:
        self._store = store
        self._proposer = proposer
        self._ids = ids
        self._ask_registry = ask_registry

    async def create(self, request: control_pb2.CreateServiceRequest) -> objects_pb2.Service:
        """A new service; EXISTS if the name is taken by another request's service."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        check_service(request.spec)
        spec = with_ids(self._store, request.spec)
        image = await settled(spec, None, self._ask_registry, resolve=request.resolve_image)
        service = objects_pb2.Service(
            id=self._ids(), spec=image.spec, spec_version=1, registry_logins=image.logins
        )
        applied = await propose_one(
            self._proposer, batch(create(service)), request_id=request_id, object_id=service.id
        )
        return self._answer(applied.object_id, image.warnings)

    async def update(self, request: control_pb2.UpdateServiceRequest) -> objects_pb2.Service:
        """Replaces the spec that has `version`; CONFLICT if somebody was faster."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        service = resolve(self._store, objects_pb2.Service, request.key)
        check_service(request.spec)
        spec = with_ids(self._store, request.spec)
        _check_unchangeable(service.spec, request.spec)
        if request.version != service.meta.version:
            raise stale(f"service {request.spec.annotations.name}", service.meta.version)
        image = await settled(spec, service, self._ask_registry, resolve=request.resolve_image)
        changed = copy(service)
        changed.previous_spec.CopyFrom(service.spec)
        changed.spec.CopyFrom(image.spec)
        changed.registry_logins.clear()
        changed.registry_logins.update(image.logins)
        if changed.spec.task != service.spec.task:
            changed.spec_version += 1
            changed.ClearField("update_status")
        applied = await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=service.id
        )
        return self._answer(applied.object_id, image.warnings)

    async def remove(self, request: control_pb2.RemoveRequest) -> control_pb2.RemoveResponse:
        """Removes the service; its tasks are stopped afterwards."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return control_pb2.RemoveResponse(id=done.object_id)
        while True:
            service = resolve(self._store, objects_pb2.Service, request.key)
            try:
                await propose_one(
                    self._proposer,
                    batch(delete(service)),
                    request_id=request_id,
                    object_id=service.id,
                )
            except SwarmError as error:
                # Removing is meant whatever the orchestrator wrote into it meanwhile.
                if error.code is Code.CONFLICT:
                    continue
                raise
            return control_pb2.RemoveResponse(id=service.id)

    def _answer(self, service_id: str, warnings: Sequence[str] = ()) -> objects_pb2.Service:
        service = self._store.get(objects_pb2.Service, service_id)
        if service is None:
            raise SwarmError(
                Code.NOT_FOUND,
                f"service {service_id} was removed since this request was carried out",
            )
        shown = without_logins(service)
        if not warnings:
            return shown
        answer = copy(shown)
        answer.warnings.extend(warnings)
        return answer


def check_service(spec: specs_pb2.ServiceSpec) -> None:
    """Refuses a spec that is wrong by itself, or asks for what has no effect yet."""
    wellformed.check(spec)
    validate.service_spec(specimen(spec))
    try:
        parse_reference(spec.task.container.image)
    except SwarmError as error:
        raise invalid("task.container.image", error.what, why=error.why) from error
    check_login(spec.task.container)
    refuse_not_yet(spec)


def _check_unchangeable(old: specs_pb2.ServiceSpec, new: specs_pb2.ServiceSpec) -> None:
    if new.annotations.name != old.annotations.name:
        raise invalid("annotations.name", "a service cannot be renamed", remedy="create a new one")
    if new.WhichOneof("mode") != old.WhichOneof("mode"):
        raise invalid("mode", "the mode of a service cannot change", remedy="create a new one")


def needed_request_id(request_id: str) -> str:
    """The request id; INVALID if the caller sent none."""
    if not request_id:
        raise invalid(
            "request_id",
            "a request id is needed",
            why="without one a retry could have the effect of two calls",
        )
    return request_id


def stale(what: str, version: int) -> SwarmError:
    """The refusal of an update that was made from an old version."""
    return SwarmError(
        Code.CONFLICT,
        f"{what} was changed meanwhile",
        why=f"it is at version {version} now",
        remedy="read it again and repeat the change",
    )
