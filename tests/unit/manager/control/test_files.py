"""Secrets and configs through the API: what is answered, and what is refused before it changes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import control_pb2, objects_pb2, specs_pb2, types_pb2
from manager.control.files import Files
from manager.control.services import Services
from manager.state.changes import batch, create
from manager.state.store import Store
from tests.support.builders import volume
from tests.support.counter import counter
from tests.support.direct_proposer import DirectProposer

Secret, Config, Service = objects_pb2.Secret, objects_pb2.Config, objects_pb2.Service
Reference = specs_pb2.FileReference


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


class Desk:
    """Secrets, configs and services over a store of their own."""

    def __init__(self) -> None:
        self.store = Store()
        proposer = DirectProposer(self.store, lambda: 1000.0)
        ids = counter()
        self.secrets = Files(Secret, self.store, proposer, ids)
        self.configs = Files(Config, self.store, proposer, ids)
        self.services = Services(self.store, proposer, ids, lambda: 1000.0)
        self._requests = counter("r-")

    def secret(
        self, name: str, data: bytes = b"hidden", request_id: str = "", **labels: str
    ) -> Any:
        spec = specs_pb2.SecretSpec(data=data, annotations=_annotations(name, labels))
        request = control_pb2.CreateSecretRequest(spec=spec, request_id=request_id or self.next())
        return run(self.secrets.create(request))

    def config(self, name: str, data: bytes = b"shown") -> Any:
        spec = specs_pb2.ConfigSpec(data=data, annotations=_annotations(name, {}))
        request = control_pb2.CreateConfigRequest(spec=spec, request_id=self.next())
        return run(self.configs.create(request))

    def relabel(self, given: specs_pb2.SecretSpec, version: int, request_id: str = "") -> Any:
        request = control_pb2.UpdateSecretRequest(
            key=given.annotations.name,
            spec=given,
            version=version,
            request_id=request_id or self.next(),
        )
        return run(self.secrets.update(request))

    def remove(self, key: str, request_id: str = "") -> Any:
        request = control_pb2.RemoveRequest(key=key, request_id=request_id or self.next())
        return run(self.secrets.remove(request))

    def use(self, name: str, *secrets: str, configs: tuple[str, ...] = ()) -> Any:
        spec = specs_pb2.ServiceSpec(annotations=types_pb2.Annotations(name=name))
        spec.replicated.replicas = 1
        spec.task.container.image = "app"
        spec.task.container.secrets.extend(Reference(source=each, target=each) for each in secrets)
        spec.task.container.configs.extend(Reference(source=each) for each in configs)
        request = control_pb2.CreateServiceRequest(spec=spec, request_id=self.next())
        return run(self.services.create(request))

    def next(self) -> str:
        return self._requests()


def _annotations(name: str, labels: dict[str, str]) -> types_pb2.Annotations:
    return types_pb2.Annotations(name=name, labels=labels)


def refusal(call: Callable[[], object]) -> SwarmError:
    with pytest.raises(SwarmError) as refused:
        call()
    return refused.value


def test_no_answer_holds_a_secrets_data_and_the_store_does() -> None:
    desk = Desk()
    made = desk.secret("db", colour="red")
    relabelled = desk.relabel(specs_pb2.SecretSpec(annotations=_annotations("db", {})), 1)
    found = desk.secrets.get(control_pb2.GetRequest(key="db"))
    ((listed,),) = desk.secrets.list(control_pb2.ListFilesRequest())
    for answer in (made, relabelled, found, listed):
        assert (answer.id, answer.spec.annotations.name, answer.spec.data) == (made.id, "db", b"")
    kept = desk.store.get(Secret, made.id)
    assert kept is not None
    assert kept.spec.data == b"hidden"
    assert (dict(made.spec.annotations.labels), dict(found.spec.annotations.labels)) == (
        {"colour": "red"},
        {},
    )


def test_a_configs_data_is_told_of_one_and_not_in_lists() -> None:
    desk = Desk()
    desk.config("app")
    assert desk.configs.get(control_pb2.GetRequest(key="app")).spec.data == b"shown"
    ((listed,),) = desk.configs.list(control_pb2.ListFilesRequest())
    assert listed.spec.data == b""


def test_one_request_makes_one_secret() -> None:
    desk = Desk()
    made = desk.secret("db", request_id="same")
    assert desk.secret("db", request_id="same") == made
    assert desk.store.count(Secret) == 1
    assert refusal(lambda: desk.secret("db")).code is Code.EXISTS
    assert desk.remove("db", "gone").id == made.id
    assert desk.remove("db", "gone").id == made.id
    assert refusal(lambda: desk.secret("db", request_id="same")).code is Code.NOT_FOUND


def template(data: bytes, driver: str = "golang") -> control_pb2.CreateConfigRequest:
    spec = specs_pb2.ConfigSpec(
        data=data, annotations=_annotations("t", {}), template_driver=driver
    )
    return control_pb2.CreateConfigRequest(spec=spec, request_id="r")


def test_a_template_is_kept_as_it_is_with_its_driver() -> None:
    desk = Desk()
    text = b'{{.Node.Hostname}} {{.Service.Labels.tier}} {{secret "db"}}'
    made = run(desk.configs.create(template(text)))
    kept = desk.store.get(Config, made.id)
    assert kept is not None
    assert (kept.spec.data, kept.spec.template_driver) == (text, "golang")
    assert made.spec.template_driver == "golang"


@pytest.mark.parametrize(
    ("request_of_it", "field"),
    [(template(b"{{.Nobody}}"), "data"), (template(b"x", "jinja"), "template_driver")],
)
def test_a_template_that_no_node_could_fill_in_is_refused(
    request_of_it: control_pb2.CreateConfigRequest, field: str
) -> None:
    error = refusal(lambda: run(Desk().configs.create(request_of_it)))
    assert (error.code, error.field) == (Code.INVALID, field)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (specs_pb2.SecretSpec(data=b"other"), "data"),
        (specs_pb2.SecretSpec(template_driver="golang"), "template_driver"),
    ],
)
def test_only_labels_change(spec: specs_pb2.SecretSpec, field: str) -> None:
    desk = Desk()
    made = desk.secret("db")
    spec.annotations.name = "db"
    assert refusal(lambda: desk.relabel(spec, made.meta.version)).field == field


def test_labels_change_from_the_version_that_was_read() -> None:
    desk = Desk()
    made = desk.secret("db")
    spec = specs_pb2.SecretSpec(annotations=_annotations("db", {"a": "b"}), data=b"hidden")
    changed = desk.relabel(spec, made.meta.version, "same")
    assert dict(changed.spec.annotations.labels) == {"a": "b"}
    assert refusal(lambda: desk.relabel(spec, made.meta.version)).code is Code.CONFLICT
    assert desk.relabel(spec, made.meta.version, "same") == changed
    spec.annotations.labels[""] = "x"
    assert refusal(lambda: desk.relabel(spec, 2)).field == "annotations.labels"


def test_lists_are_filtered() -> None:
    desk = Desk()
    desk.secret("db", tier="back")
    desk.secret("web", tier="front")
    for request, names in (
        (control_pb2.ListFilesRequest(names=["w"]), ["web"]),
        (control_pb2.ListFilesRequest(labels=["tier"]), ["db", "web"]),
        (control_pb2.ListFilesRequest(labels=["tier=back"]), ["db"]),
        (control_pb2.ListFilesRequest(ids=["none"]), []),
    ):
        (found,) = desk.secrets.list(request)
        assert [each.spec.annotations.name for each in found] == names


def test_a_service_holds_the_ids_of_what_it_names_beside_the_names() -> None:
    desk = Desk()
    secret, config = desk.secret("db"), desk.config("app")
    container = desk.use("web", "db", configs=("app",)).spec.task.container
    assert list(container.secrets) == [Reference(source="db", target="db", id=secret.id)]
    assert list(container.configs) == [Reference(source="app", id=config.id)]


def test_an_id_that_the_caller_made_up_is_not_heard() -> None:
    desk = Desk()
    desk.secret("other")
    mine = desk.secret("mine")
    service = desk.use("web", "mine")
    spec = specs_pb2.ServiceSpec()
    spec.CopyFrom(service.spec)
    spec.task.container.secrets[0].id = "made-up"
    request = control_pb2.UpdateServiceRequest(
        key="web", spec=spec, version=service.meta.version, request_id="u"
    )
    updated = run(desk.services.update(request))
    assert updated.spec.task.container.secrets[0].id == mine.id
    assert updated.spec_version == service.spec_version


@pytest.mark.parametrize(
    ("secrets", "configs", "field"),
    [
        (("db", "none"), (), "task.container.secrets[1].source"),
        ((), ("db",), "task.container.configs[0].source"),
    ],
)
def test_what_is_not_there_is_named_by_its_field(
    secrets: tuple[str, ...], configs: tuple[str, ...], field: str
) -> None:
    desk = Desk()
    desk.secret("db")
    error = refusal(lambda: desk.use("web", *secrets, configs=configs))
    assert (error.code, error.field) == (Code.INVALID, field)
    assert desk.store.count(Service) == 0


def test_what_is_in_use_is_not_removed() -> None:
    desk = Desk()
    made = desk.secret("db")
    desk.use("web", "db")
    desk.use("batch", "db")
    desk.use("other")
    error = refusal(lambda: desk.remove("db"))
    assert (error.code, error.why) == (Code.REFUSED, "by services web, batch")
    assert desk.store.get(Secret, made.id) is not None


def test_a_secret_that_the_driver_of_a_volume_asks_for_is_not_removed() -> None:
    desk = Desk()
    desk.secret("db")
    data = volume("data")
    data.spec.secrets.append(specs_pb2.VolumeSecret(key="token", secret="db"))  # noqa: S106
    run(DirectProposer(desk.store, lambda: 1000.0).propose([batch(create(data))]))
    error = refusal(lambda: desk.remove("db"))
    assert (error.code, error.why) == (Code.REFUSED, "the driver of volume data asks for it")
