"""What operators may do with services: checks, then one proposal; a retry has no second effect."""

from collections.abc import Callable, Sequence

from api import validate
from api.errors import Code, SwarmError, invalid
from api.ids import IdSource
from api.modes import is_job
from api.times import timestamp
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.control.images import AskRegistry, check_login, no_registry, settled, without_logins
from manager.control.networks import gone_with
from manager.control.not_yet import refuse_not_yet
from manager.control.references import removed_since, with_ids
from manager.control.requests import needed_request_id, stale
from manager.control.resolve import resolve
from manager.orchestrator.rollback import respecified, rolled_back_by_hand
from manager.placement.check import check_placement
from manager.state.changes import batch, copy, create, delete, update
from manager.state.networks import claims_of, port_taken
from manager.state.proposer import Proposer, propose_one
from manager.state.store import Store, View
from manager.state.users import named
from runtime.image.reference import parse as parse_reference


class Services:
    """Create, update and remove services."""

    def __init__(
        self,
        store: Store,
        proposer: Proposer,
        ids: IdSource,
        clock: Callable[[], float],
        *,
        ask_registry: AskRegistry = no_registry,
    ) -> None:
        """`clock`: wall time."""
        self._store = store
        self._proposer = proposer
        self._ids = ids
        self._clock = clock
        self._ask_registry = ask_registry

    async def create(self, request: control_pb2.CreateServiceRequest) -> objects_pb2.Service:
        """A new service; EXISTS if the name is taken by another request's service."""
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        check_service(request.spec)
        spec = with_ids(self._store, request.spec)
        check_ports(self._store, objects_pb2.Service(spec=spec))
        image = await settled(spec, None, self._ask_registry, resolve=request.resolve_image)
        service = objects_pb2.Service(
            id=self._ids(), spec=image.spec, spec_version=1, registry_logins=image.logins
        )
        if is_job(service):
            service.job_status.last_execution.CopyFrom(timestamp(self._clock()))
        applied = await propose_one(
            self._proposer, batch(create(service)), request_id=request_id, object_id=service.id
        )
        return self._answer(applied.object_id, image.warnings)

    async def update(self, request: control_pb2.UpdateServiceRequest) -> objects_pb2.Service:
        """Replaces the spec that has `version`, or goes back to the one before it.

        CONFLICT if somebody was faster; REFUSED if there is nothing to go back to.
        """
        request_id = needed_request_id(request.request_id)
        done = self._store.applied_request(request_id)
        if done is not None:
            return self._answer(done.object_id)
        service = resolve(self._store, objects_pb2.Service, request.key)
        if not request.rollback:
            check_service(request.spec)
            _check_unchangeable(service.spec, request.spec)
        if request.version != service.meta.version:
            raise stale(f"service {service.spec.annotations.name}", service.meta.version)
        warnings: Sequence[str] = ()
        if request.rollback:
            changed = rolled_back_by_hand(service)
            check_service(changed.spec)
            _check_complete(self._store, changed.spec)
        else:
            spec = with_ids(self._store, request.spec)
            check_ports(self._store, objects_pb2.Service(id=service.id, spec=spec))
            image = await settled(spec, service, self._ask_registry, resolve=request.resolve_image)
            warnings = image.warnings
            changed = respecified(service, image.spec)
            changed.registry_logins.clear()
            changed.registry_logins.update(image.logins)
        if is_job(changed) and changed.spec_version != service.spec_version:
            self._begin_iteration(changed)
        applied = await propose_one(
            self._proposer, batch(update(changed)), request_id=request_id, object_id=service.id
        )
        return self._answer(applied.object_id, warnings)

    def _begin_iteration(self, job: objects_pb2.Service) -> None:
        """Another task spec, be it an earlier one, runs the job anew; nothing is rolled out."""
        job.ClearField("update_status")
        job.job_status.iteration += 1
        job.job_status.last_execution.CopyFrom(timestamp(self._clock()))

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
                    batch(delete(service), *gone_with(self._store, service)),
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
    validate.service_spec(spec)
    check_placement(spec.task)
    try:
        parse_reference(spec.task.container.image)
    except SwarmError as error:
        raise invalid("task.container.image", error.what, why=error.why) from error
    check_login(spec.task.container)
    refuse_not_yet(spec)


def check_ports(view: View, service: objects_pb2.Service) -> None:
    """REFUSED, with the holder, if a port is published already: before a registry is asked."""
    taken = port_taken(view, service, claims_of(service))
    if taken is not None:
        raise taken


def _check_complete(view: View, previous: specs_pb2.ServiceSpec) -> None:
    missing = list(removed_since(view, previous.task))
    if missing:
        name = previous.annotations.name
        raise SwarmError(
            Code.REFUSED,
            f"service {name} cannot be rolled back",
            why=f"its previous spec needs what was removed since: {named(missing)}",
            remedy="say what it shall be with swarmctl service update",
        )


def _check_unchangeable(old: specs_pb2.ServiceSpec, new: specs_pb2.ServiceSpec) -> None:
    if new.annotations.name != old.annotations.name:
        raise invalid("annotations.name", "a service cannot be renamed", remedy="create a new one")
    if new.WhichOneof("mode") != old.WhichOneof("mode"):
        raise invalid("mode", "the mode of a service cannot change", remedy="create a new one")
