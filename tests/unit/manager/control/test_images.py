"""A service's image: what it is pinned to, who pulls it, and what is said when nobody could ask."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.pieces import gathered
from api.serving import Caller, set_caller
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from manager.control import images
from manager.control.images import MAX_AUTH
from manager.control.service import ControlService
from manager.control.services import Services
from manager.state.store import Store
from manager.state.watch import WatchHub
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

Service = objects_pb2.Service
ARM = types_pb2.Platform(os="linux", architecture="arm64")


def auth(password: str) -> str:
    return base64.urlsafe_b64encode(
        json.dumps({"username": "ann", "password": password}).encode()
    ).decode()


class Registry:
    """Says which digest a name means just now, or why it does not."""

    def __init__(self) -> None:
        self.digest = "1" * 64
        self.failure: Exception | None = None
        self.asked: list[tuple[str, str]] = []
        self.answers = True

    async def ask(self, image: str, registry_auth: str) -> specs_pb2.PinnedImage:
        self.asked.append((image, registry_auth))
        if self.failure is not None:
            raise self.failure
        if not self.answers:
            await asyncio.Event().wait()
        return specs_pb2.PinnedImage(reference=f"{image}@sha256:{self.digest}", platforms=[ARM])


class Desk:
    """Services with a registry to ask."""

    def __init__(self) -> None:
        self.store = Store()
        self.registry = Registry()
        self.ids = counter("r")
        self.services = Services(
            self.store,
            DirectProposer(self.store, lambda: 1000.0),
            counter(),
            lambda: 1000.0,
            ask_registry=self.registry.ask,
        )

    def create(self, image: str = "app:1", login: str = "", *, resolve: bool = True) -> Service:
        spec = specs_pb2.ServiceSpec(replicated=specs_pb2.ReplicatedMode(replicas=1))
        spec.annotations.name = "web"
        spec.task.container.image = image
        spec.task.container.registry_auth = login
        spec.task.container.pinned_image.reference = "of the client's own"
        request = control_pb2.CreateServiceRequest(
            spec=spec, request_id=self.ids(), resolve_image=resolve
        )
        return run(lambda: self.services.create(request))

    def update(
        self,
        *,
        image: str = "",
        login: str = "",
        resolve: bool = False,
        edit: Callable[[specs_pb2.ServiceSpec], None] = lambda _: None,
    ) -> Service:
        """As the command line does: what is in the store, and what is to be changed of it."""
        present = self.stored
        spec = specs_pb2.ServiceSpec()
        spec.CopyFrom(present.spec)
        spec.task.container.ClearField("pinned_image")
        spec.task.container.image = image or spec.task.container.image
        spec.task.container.registry_auth = login
        edit(spec)
        request = control_pb2.UpdateServiceRequest(
            key="web",
            spec=spec,
            version=present.meta.version,
            request_id=self.ids(),
            resolve_image=resolve,
        )
        return run(lambda: self.services.update(request))

    @property
    def stored(self) -> Service:
        found = self.store.named(Service, "web")
        assert found is not None
        return found

    @property
    def pin(self) -> str:
        return self.stored.spec.task.container.pinned_image.reference


def run(call: Callable[[], Awaitable[Service]]) -> Service:
    async def in_a_loop() -> Service:
        return await call()

    return asyncio.run(in_a_loop())


def test_what_the_user_said_stays_and_the_pin_is_beside_it() -> None:
    desk = Desk()
    made = desk.create()
    container = made.spec.task.container
    assert (container.image, list(made.warnings)) == ("app:1", [])
    assert container.pinned_image.reference == f"app:1@sha256:{'1' * 64}"
    assert list(container.pinned_image.platforms) == [ARM]


def test_nobody_is_asked_unless_that_is_wished() -> None:
    desk = Desk()
    assert not desk.create(resolve=False).spec.task.container.HasField("pinned_image")
    assert desk.registry.asked == []


@pytest.mark.parametrize(
    "failure",
    [SwarmError(Code.UNAVAILABLE, "registry is away", why="connection refused"), None],
)
def test_a_registry_that_is_away_costs_a_warning(
    failure: SwarmError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "LIMIT", 0.01)
    desk = Desk()
    desk.registry.failure, desk.registry.answers = failure, False
    made = desk.create()
    [warning] = made.warnings
    assert "image app:1 could not be accessed on a registry to record its digest" in warning
    assert ("connection refused" if failure else "no answer within") in warning
    assert desk.pin == ""
    assert list(desk.stored.warnings) == []


def test_an_image_named_by_its_digest_needs_no_warning() -> None:
    desk = Desk()
    desk.registry.failure = SwarmError(Code.UNAVAILABLE, "away")
    assert list(desk.create(f"app@sha256:{'2' * 64}").warnings) == []


def test_an_update_of_something_else_keeps_the_pin() -> None:
    desk = Desk()
    desk.create()
    desk.registry.digest = "2" * 64
    desk.update(edit=lambda spec: spec.task.container.env.append("A=1"))
    assert desk.pin.endswith("1" * 64)
    assert len(desk.registry.asked) == 1


def test_the_same_name_given_again_takes_what_it_means_now() -> None:
    desk = Desk()
    before = desk.create()
    desk.registry.digest = "2" * 64
    after = desk.update(image="app:1", resolve=True)
    assert desk.pin.endswith("2" * 64)
    assert after.spec_version == before.spec_version + 1
    assert after.previous_spec.task.container.pinned_image.reference.endswith("1" * 64)


def test_the_same_name_with_the_same_meaning_changes_no_task() -> None:
    desk = Desk()
    before = desk.create()
    assert desk.update(image="app:1", resolve=True).spec_version == before.spec_version


def test_the_pin_stays_where_the_registry_is_away_and_the_name_is_the_same() -> None:
    desk = Desk()
    before = desk.create()
    desk.registry.failure = SwarmError(Code.UNAVAILABLE, "away")
    [warning] = desk.update(image="app:1", resolve=True).warnings
    assert f"it stays app:1@sha256:{'1' * 64} (away)" in warning
    assert desk.stored.spec_version == before.spec_version


@pytest.mark.parametrize("resolve", [False, True])
def test_another_name_loses_the_pin_unless_there_is_another(resolve: bool) -> None:
    desk = Desk()
    desk.create()
    desk.registry.failure = SwarmError(Code.UNAVAILABLE, "away")
    warnings = desk.update(image="app:2", resolve=resolve).warnings
    assert (desk.pin, len(warnings)) == ("", int(resolve))


def test_a_login_is_kept_beside_the_spec_and_shown_to_nobody() -> None:
    desk = Desk()
    made = desk.create(login=auth("old"))
    assert desk.registry.asked == [("app:1", auth("old"))]
    assert dict(desk.stored.registry_logins) == {"docker.io": auth("old")}
    assert (dict(made.registry_logins), made.spec.task.container.registry_auth) == ({}, "")
    assert desk.stored.spec.task.container.registry_auth == ""


async def watched(control: Any) -> Service:
    """The service as a watcher sees it."""
    messages = control.Watch(control_pb2.WatchRequest(), None)
    try:
        message: control_pb2.WatchMessage = await anext(messages)
        (found,) = (e.object.service for e in message.events if e.object.HasField("service"))
        return found
    finally:
        await messages.aclose()


async def listed(control: Any) -> Service:
    """The service as one of many."""
    pieces = control.ListServices(control_pb2.ListServicesRequest(), None)
    answer = await gathered(pieces, into=control_pb2.ListServicesResponse())
    found: Service = answer.services[0]
    return found


ANSWERS: dict[str, Callable[[Any], Awaitable[Service]]] = {
    "GetService": lambda control: control.GetService(control_pb2.GetRequest(key="web"), None),
    "ListServices": listed,
    "Watch": watched,
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_answer_holds_a_login(answer: str) -> None:
    async def ask(control: Any) -> Service:
        set_caller(Caller("worker", "n1", "c", "tls"))
        return await ANSWERS[answer](control)

    desk = Desk()
    desk.create(login=auth("old"))
    serve: Any = ControlService  # neither the cluster nor secrets are of interest here
    control = serve(desk.store, WatchHub(), desk.services, *[None] * 9)
    shown = asyncio.run(ask(control))
    assert (shown.id, dict(shown.registry_logins)) == (desk.stored.id, {})
    assert desk.stored.registry_logins, "the store still has it"


def test_a_new_login_makes_no_task_outdated_and_is_kept() -> None:
    desk = Desk()
    before = desk.create(login=auth("old"))
    after = desk.update(login=auth("new"))
    assert dict(desk.stored.registry_logins) == {"docker.io": auth("new")}
    assert (after.spec_version, after.spec) == (before.spec_version, before.spec)
    desk.update(image="app:2", resolve=True)
    assert desk.registry.asked[-1] == ("app:2", auth("new"))
    assert dict(desk.stored.registry_logins) == {"docker.io": auth("new")}


def test_a_registry_is_told_its_own_login_alone() -> None:
    desk = Desk()
    desk.create(login=auth("old"))
    desk.update(image="registry.example.com/app:1", resolve=True)
    assert desk.registry.asked[-1] == ("registry.example.com/app:1", "")
    desk.update(login=auth("other"))
    assert dict(desk.stored.registry_logins) == {"registry.example.com": auth("other")}


def test_the_login_of_the_former_registry_is_kept_for_a_way_back() -> None:
    desk = Desk()
    desk.create(login=auth("old"))
    desk.update(image="registry.example.com/app:1", login=auth("other"))
    assert dict(desk.stored.registry_logins) == {
        "docker.io": auth("old"),
        "registry.example.com": auth("other"),
    }
    desk.update(image="third.example.com/app:1")
    assert dict(desk.stored.registry_logins) == {"registry.example.com": auth("other")}


@pytest.mark.parametrize("login", ["no base64", auth("x" * MAX_AUTH)])
def test_a_login_that_no_node_could_use_is_refused(login: str) -> None:
    desk = Desk()
    with pytest.raises(SwarmError) as refused:
        desk.create(login=login)
    assert refused.value.code is Code.INVALID
    assert refused.value.field == "task.container.registry_auth"
    assert login not in str(refused.value)
    assert desk.registry.asked == []


def test_a_request_that_comes_again_asks_nobody_again() -> None:
    desk = Desk()
    desk.ids = lambda: "the same"
    assert desk.create().id == desk.create().id
    assert len(desk.registry.asked) == 1
