"""The cluster's settings and its unlock key, and that its secrets leave in no other answer."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from api.errors import Code, SwarmError
from api.identity import Role, make_csr, new_key
from api.serving import Caller, set_caller
from api.times import duration
from api.unlock_key import parse_unlock_key
from api.v1 import control_pb2, objects_pb2, specs_pb2
from manager.ca.bootstrap import first_objects
from manager.control.cluster import ClusterAffairs
from manager.control.service import ControlService
from manager.control.services import Services
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

NOW = 1_800_000_000.0
LIMIT = 20.0
Spec = specs_pb2.ClusterSpec
T = TypeVar("T")
CSR = make_csr(new_key())


async def _await(call: Awaitable[T]) -> T:
    return await call


def run(call: Awaitable[T]) -> T:
    return asyncio.run(_await(call))


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        call()
    return refused.value


class Town:
    """A cluster of one manager. The n-th secret that is made for it consists of bytes n."""

    def __init__(self, spec: Spec | None = None) -> None:
        numbers = itertools.count()
        self.secret = lambda size: bytes([next(numbers)]) * size
        self.store, self.hub = Store(), WatchHub()
        proposer = DirectProposer(self.store, lambda: NOW, self.hub)
        first = first_objects(
            spec or Spec(),
            cluster_id="c" * 25,
            node_id="m" * 25,
            csr_pem=CSR,
            now=NOW,
            secret=self.secret,
        )
        run(proposer.propose([first.batch()]))
        self.affairs = ClusterAffairs(
            self.store,
            proposer,
            ids=counter("operator-"),
            clock=lambda: NOW,
            needed=lambda _: None,
            secret=self.secret,
        )
        services = Services(self.store, proposer, counter("service-"), lambda: NOW)
        group = control_pb2.ManagerGroupStatus
        serve: Any = ControlService  # not every call is of interest here
        nothing = [None] * 6
        self.service = serve(self.store, self.hub, services, self.affairs, *nothing, group, None)

    @property
    def cluster(self) -> objects_pb2.Cluster:
        return next(self.store.all(objects_pb2.Cluster))

    @property
    def key(self) -> bytes:
        text = self.affairs.unlock_key().key
        return parse_unlock_key(text) if text else b""

    def request(
        self, request_id: str, *, rotate: bool = False, **settings: Any
    ) -> control_pb2.UpdateClusterRequest:
        request = control_pb2.UpdateClusterRequest(
            spec=self.cluster.spec,
            version=self.cluster.meta.version,
            request_id=request_id,
            rotate_unlock_key=rotate,
        )
        given = Spec(**settings)
        for name in settings:
            request.spec.ClearField(name)  # type: ignore[arg-type]
        request.spec.MergeFrom(given)
        return request

    def update(self, request_id: str, **settings: Any) -> objects_pb2.Cluster:
        return run(self.affairs.update_cluster(self.request(request_id, **settings)))


def test_settings_are_replaced() -> None:
    town = Town(Spec(snapshot_interval=7))
    changed = town.update("u1", max_snapshots=3, heartbeat_period=duration(1.0))
    assert changed.spec == Spec(
        snapshot_interval=7, max_snapshots=3, heartbeat_period=duration(1.0)
    )
    assert town.cluster == changed
    assert town.update("u2", snapshot_interval=0).spec.snapshot_interval == 0


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"heartbeat_period": duration(0.01)}, "heartbeat_period"),
        ({"node_cert_expiry": duration(60)}, "node_cert_expiry"),
        ({"data_path_port": 80}, "data_path_port"),
        ({"data_path_port": 4790}, "data_path_port"),
        ({"subnet_size": 26}, "subnet_size"),
    ],
)
def test_a_bad_setting_is_refused(setting: dict[str, Any], field: str) -> None:
    town = Town()
    error = refusal(lambda: town.update("u", **setting))
    assert (error.code, error.field) == (Code.INVALID, field)
    assert town.cluster.spec == Spec()


def test_a_request_without_a_spec_does_not_unlock() -> None:
    town = Town(Spec(autolock=True))
    request = town.request("u")
    request.ClearField("spec")
    error = refusal(lambda: run(town.affairs.update_cluster(request)))
    assert (error.code, error.field) == (Code.INVALID, "spec")
    assert town.key


def test_an_update_from_an_old_version_is_refused() -> None:
    town = Town()
    request = town.request("u1", max_snapshots=1)
    town.update("u2", max_snapshots=2)
    assert refusal(lambda: run(town.affairs.update_cluster(request))).code is Code.CONFLICT
    assert town.cluster.spec.max_snapshots == 2


def test_a_request_needs_an_id() -> None:
    town = Town()
    assert refusal(lambda: town.update("")).field == "request_id"


def test_autolock_makes_a_key_and_takes_it_back() -> None:
    town = Town()
    assert town.key == b""
    town.update("u1", autolock=True)
    first = town.key
    assert len(first) == 32
    town.update("u2", max_snapshots=1)
    assert town.key == first, "other changes leave it alone"
    town.update("u3", rotate=True)
    assert town.key not in (first, b"")
    town.update("u4", autolock=False)
    assert (town.key, town.cluster.unlock_key) == (b"", b"")
    town.update("u5", autolock=True)
    assert town.key not in (first, b"")


def test_a_repeated_rotation_rotates_once() -> None:
    town = Town(Spec(autolock=True))
    request = town.request("r", rotate=True)
    run(town.affairs.update_cluster(request))
    rotated = town.key
    again = run(town.affairs.update_cluster(request))
    assert (town.key, again) == (rotated, town.cluster)


def test_what_is_not_locked_has_no_key_to_rotate() -> None:
    town = Town()
    error = refusal(lambda: town.update("r", rotate=True))
    assert (error.code, "--autolock" in error.remedy) == (Code.REFUSED, True)


async def first_message(messages: Any) -> control_pb2.WatchMessage:
    try:
        async with asyncio.timeout(LIMIT):
            found: control_pb2.WatchMessage = await anext(messages)
            return found
    finally:
        await messages.aclose()


async def changes(town: Town) -> objects_pb2.Cluster:
    """The cluster as a watcher sees it that is there while it changes."""
    messages = town.service.Watch(control_pb2.WatchRequest(), None)
    try:
        async with asyncio.timeout(LIMIT):
            await anext(messages)
            await town.affairs.update_cluster(town.request("w", rotate=True))
            message: control_pb2.WatchMessage = await anext(messages)
        (event,) = message.events
        return event.object.cluster
    finally:
        await messages.aclose()


async def present(town: Town) -> objects_pb2.Cluster:
    message = await first_message(town.service.Watch(control_pb2.WatchRequest(), None))
    (found,) = (e.object.cluster for e in message.events if e.object.HasField("cluster"))
    return found


ANSWERS: dict[str, Callable[[Town], Awaitable[objects_pb2.Cluster]]] = {
    "GetCluster": lambda t: t.service.GetCluster(control_pb2.GetClusterRequest(), None),
    "UpdateCluster": lambda t: t.service.UpdateCluster(t.request("u", max_snapshots=2), None),
    "RotateJoinToken": lambda t: t.service.RotateJoinToken(
        control_pb2.RotateJoinTokenRequest(request_id="r"), None
    ),
    "RotateRootCa": lambda t: t.service.RotateRootCa(
        control_pb2.RotateRootCaRequest(request_id="c"), None
    ),
    "Watch, as it is": present,
    "Watch, as it changes": changes,
}


@pytest.mark.parametrize("role", ["worker", "manager", "operator"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_no_answer_holds_the_unlock_key_or_the_key_of_the_ca(role: Role, answer: str) -> None:
    async def scenario() -> None:
        set_caller(Caller(role, "id", town.cluster.id, "tls"))
        shown = await ANSWERS[answer](town)
        assert shown.id == town.cluster.id
        assert (shown.unlock_key, shown.root_ca.key_pem) == (b"", b"")
        assert shown.root_ca.rotation.key_pem == b""
        assert bool(shown.root_ca.worker_token) == (role != "worker")
        assert town.cluster.unlock_key
        assert town.cluster.root_ca.key_pem, "the store still has them"

    town = Town(Spec(autolock=True))
    asyncio.run(scenario())


def test_the_unlock_key_is_told_to_who_asks_for_it() -> None:
    async def scenario() -> None:
        told = await town.service.GetUnlockKey(control_pb2.GetUnlockKeyRequest(), None)
        assert parse_unlock_key(told.key) == town.cluster.unlock_key

    town = Town(Spec(autolock=True))
    asyncio.run(scenario())
