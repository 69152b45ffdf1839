"""What operators do with services: refused before anything changed, and once however often sent."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from api.errors import Code, SwarmError
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.control.services import Services
from manager.state.changes import Change, batch, copy, create, delete, update
from manager.state.store import Store
from tests.support.builders import network, volume
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer
from tests.support.rpc import write

Service = objects_pb2.Service
T = TypeVar("T")


def spec(name: str = "web", image: str = "nginx", replicas: int = 1) -> specs_pb2.ServiceSpec:
    made = specs_pb2.ServiceSpec()
    made.annotations.name = name
    made.replicated.replicas = replicas
    made.task.container.image = image
    return made


NOW = 1000.0


class Desk:
    """Services over a store of their own."""

    def __init__(self) -> None:
        self.store = Store()
        self.now = NOW
        self.proposer = DirectProposer(self.store, lambda: NOW)
        self.services = Services(self.store, self.proposer, counter(), lambda: self.now)

    def write(self, *changes: Change) -> None:
        asyncio.run(_await(write(self.proposer, *changes)))

    def create(self, given: specs_pb2.ServiceSpec, request_id: str = "r1") -> Service:
        request = control_pb2.CreateServiceRequest(spec=given, request_id=request_id)
        return asyncio.run(_await(self.services.create(request)))

    def update(self, old: Service, given: specs_pb2.ServiceSpec, request_id: str = "u1") -> Service:
        request = control_pb2.UpdateServiceRequest(
            key=old.id, spec=given, version=old.meta.version, request_id=request_id
        )
        return asyncio.run(_await(self.services.update(request)))

    def roll_back(self, old: Service, request_id: str = "b1") -> Service:
        request = control_pb2.UpdateServiceRequest(
            key=old.id, version=old.meta.version, request_id=request_id, rollback=True
        )
        return asyncio.run(_await(self.services.update(request)))

    def remove(self, key: str, request_id: str = "d1") -> str:
        request = control_pb2.RemoveRequest(key=key, request_id=request_id)
        return asyncio.run(_await(self.services.remove(request))).id


async def _await(call: Awaitable[T]) -> T:
    return await call


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        call()
    return refused.value


def test_a_service_is_created_once_however_often_it_is_asked_for() -> None:
    desk = Desk()
    first = desk.create(spec())
    again = desk.create(spec())
    assert (again.id, desk.store.count(Service)) == (first.id, 1)
    assert (first.spec_version, first.spec) == (1, spec())


def test_a_name_that_is_taken_is_refused() -> None:
    desk = Desk()
    desk.create(spec())
    error = refusal(lambda: desk.create(spec(), "other"))
    assert (error.code, "web" in error.what) == (Code.EXISTS, True)


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (spec(name=""), Code.INVALID, "annotations.name"),
        (spec(image="UPPER case"), Code.INVALID, "task.container.image"),
        (spec(image="-bad-"), Code.INVALID, "task.container.image"),
    ],
)
def test_a_bad_spec_changes_nothing(given: specs_pb2.ServiceSpec, code: Code, field: str) -> None:
    desk = Desk()
    error = refusal(lambda: desk.create(given))
    assert (error.code, error.field) == (code, field)
    assert desk.store.version == 0


def test_a_request_without_an_id_is_refused() -> None:
    assert refusal(lambda: Desk().create(spec(), "")).field == "request_id"


def test_scaling_leaves_the_tasks_version_alone_and_an_image_does_not() -> None:
    desk = Desk()
    made = desk.create(spec())
    scaled = desk.update(made, spec(replicas=5), "u1")
    assert (scaled.spec_version, scaled.spec.replicated.replicas) == (1, 5)
    renewed = desk.update(scaled, spec(image="nginx:2", replicas=5), "u2")
    assert (renewed.spec_version, renewed.previous_spec) == (2, spec(replicas=5))


def test_a_new_task_spec_begins_a_new_rollout() -> None:
    desk = Desk()
    made = copy(desk.create(spec()))
    made.update_status.state = objects_pb2.UpdateStatus.STATE_PAUSED
    desk.store.apply(desk.store.version + 1, made.meta.created_at, [batch(update(made))])
    paused = desk.store.get(Service, made.id) or Service()
    scaled = desk.update(paused, spec(replicas=2), "u1")
    assert scaled.update_status.state == objects_pb2.UpdateStatus.STATE_PAUSED
    assert not desk.update(scaled, spec(image="nginx:2"), "u2").HasField("update_status")


def test_a_new_task_spec_runs_a_job_anew_and_more_completions_do_not() -> None:
    desk = Desk()
    given = spec()
    given.replicated_job.total_completions = 2
    made = desk.create(given)
    assert seconds_of(made.job_status.last_execution) == NOW
    desk.now += 5
    given.replicated_job.total_completions = 3
    more = desk.update(made, given, "u1")
    assert more.job_status == made.job_status
    given.task.force_update += 1
    again = desk.update(more, given, "u2")
    assert again.job_status.iteration == 1
    assert seconds_of(again.job_status.last_execution) == NOW + 5
    assert not desk.create(spec(name="web2"), "r2").HasField("job_status")


def test_a_rollback_is_done_once_however_often_it_is_asked_for() -> None:
    desk = Desk()
    made = desk.create(spec())
    assert refusal(lambda: desk.roll_back(made)).code is Code.REFUSED
    updated = desk.update(made, spec(image="nginx:2", replicas=3))
    back = desk.roll_back(updated)
    assert (back.spec, back.previous_spec) == (spec(), spec(image="nginx:2", replicas=3))
    assert desk.roll_back(updated) == back, "the same request again"
    assert refusal(lambda: desk.roll_back(updated, "b2")).code is Code.CONFLICT


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (objects_pb2.Secret, "secret key"),
        (objects_pb2.Config, "config motd"),
        (objects_pb2.Network, "network net"),
        (objects_pb2.Volume, "volume data"),
    ],
)
def test_a_service_is_not_rolled_back_to_what_was_removed(kind: Any, word: str) -> None:
    desk = Desk()
    secret, config = objects_pb2.Secret(id="key"), objects_pb2.Config(id="motd")
    secret.spec.annotations.name, config.spec.annotations.name = "key", "motd"
    desk.write(create(secret), create(config), create(network("net")), create(volume("data")))
    given = spec()
    given.task.container.secrets.add(source="key")
    given.task.container.configs.add(source="motd")
    given.task.container.mounts.add(type=specs_pb2.Mount.TYPE_VOLUME, source="data", target="/d")
    given.task.networks.add(target="net")
    updated = desk.update(desk.create(given), spec())
    stored: Any = desk.store.get(kind, word.split()[1])
    desk.write(delete(copy(stored)))
    error = refusal(lambda: desk.roll_back(updated))
    assert (error.code, error.why.endswith(f"removed since: {word}")) == (Code.REFUSED, True)
    another = copy(stored)
    another.id = "another"
    desk.write(create(another))
    assert refusal(lambda: desk.roll_back(updated)).why == error.why


def test_a_rollback_cannot_be_rolled_back() -> None:
    given = spec()
    given.rollback.failure_action = specs_pb2.UpdateConfig.FAILURE_ACTION_ROLLBACK
    error = refusal(lambda: Desk().create(given))
    assert (error.code, error.field) == (Code.INVALID, "rollback.failure_action")


def test_an_update_from_an_old_version_is_refused_and_its_retry_is_not_one() -> None:
    desk = Desk()
    made = desk.create(spec())
    first = desk.update(made, spec(replicas=2), "u1")
    assert refusal(lambda: desk.update(made, spec(replicas=3), "u2")).code is Code.CONFLICT
    assert desk.update(made, spec(replicas=2), "u1") == first


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (lambda s: s.annotations.MergeFrom(spec(name="other").annotations), "annotations.name"),
    ],
)
def test_what_can_never_change(
    changed: Callable[[specs_pb2.ServiceSpec], object], field: str
) -> None:
    desk = Desk()
    made = desk.create(spec())
    wanted = spec()
    changed(wanted)
    assert refusal(lambda: desk.update(made, wanted)).field == field


def test_a_removed_service_is_gone_and_its_removal_can_be_asked_for_again() -> None:
    desk = Desk()
    made = desk.create(spec())
    assert desk.remove("web") == made.id
    assert desk.remove("web") == made.id
    assert refusal(lambda: desk.remove("web", "d2")).code is Code.NOT_FOUND
    assert refusal(lambda: desk.create(spec())).code is Code.NOT_FOUND
    assert desk.create(spec(), "r2").id != made.id


def test_a_removal_does_not_lose_to_the_orchestrator() -> None:
    desk = Desk()
    made = desk.create(spec())

    class Racing(DirectProposer):
        raced = False

        async def propose(self, batches, **given):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
            if not self.raced:
                self.raced = True
                meanwhile = copy(desk.store.get(Service, made.id) or Service())
                meanwhile.update_status.message = "in progress"
                await super().propose([batch(update(meanwhile))])
            return await super().propose(batches, **given)

    desk.services = Services(desk.store, Racing(desk.store, lambda: NOW), counter(), lambda: NOW)
    assert desk.remove("web") == made.id
    assert desk.store.count(Service) == 0
