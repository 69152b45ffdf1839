"""`service create` and `update`: what is asked of the registry, and who the nodes are there."""

import pytest

from api.v1 import control_pb2, objects_pb2
from runtime.image.auth import Credentials, parse_registry_auth
from swarmctl.cli import registry_logins
from swarmctl.cli.registry_logins import Login
from tests.support.command_line import CommandLine, Result
from tests.support.scripted_daemon import ScriptedDaemon

WARNING = "image registry:5000/app:1 could not be accessed on a registry"


@pytest.fixture(autouse=True)
def _willing(daemon: ScriptedDaemon) -> None:
    present = objects_pb2.Service(id="s1")
    present.spec.annotations.name = "web"
    present.spec.replicated.replicas = 1
    present.spec.task.container.image = "registry:5000/app:1"
    daemon.on("GetService", present)
    daemon.on("CreateService", present)
    daemon.on("UpdateService", present)


def create(cli: CommandLine, *flags: str) -> Result:
    return cli("service", "create", "-d", "--name", "web", *flags, "registry:5000/app:1")


def update(cli: CommandLine, *flags: str) -> Result:
    return cli("service", "update", "-d", *flags, "web")


def created(daemon: ScriptedDaemon) -> control_pb2.CreateServiceRequest:
    [request] = daemon.asked("CreateService")
    found: control_pb2.CreateServiceRequest = request
    return found


def updated(daemon: ScriptedDaemon) -> control_pb2.UpdateServiceRequest:
    [request] = daemon.asked("UpdateService")
    found: control_pb2.UpdateServiceRequest = request
    return found


@pytest.mark.parametrize(
    ("flags", "resolve"),
    [((), True), (("--no-resolve-image",), False), (("--no-resolve-image=false",), True)],
)
def test_a_new_image_is_pinned_unless_that_is_not_wished(
    cli: CommandLine, daemon: ScriptedDaemon, flags: tuple[str, ...], resolve: bool
) -> None:
    assert create(cli, *flags).code == 0
    assert created(daemon).resolve_image is resolve


@pytest.mark.parametrize(
    ("flags", "resolve"),
    [
        ((), False),
        (("--force",), False),
        (("--env-add", "A=1"), False),
        (("--image", "registry:5000/app:1"), True),
        (("--image", "registry:5000/app:1", "--no-resolve-image"), False),
    ],
)
def test_an_update_pins_only_what_it_names(
    cli: CommandLine, daemon: ScriptedDaemon, flags: tuple[str, ...], resolve: bool
) -> None:
    assert update(cli, *flags).code == 0
    assert updated(daemon).resolve_image is resolve


def test_warnings_are_told_beside_what_scripts_read(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    warned = objects_pb2.Service(id="s1", warnings=[WARNING])
    daemon.on("CreateService", warned)
    daemon.on("UpdateService", warned)
    for result in (create(cli), update(cli, "--image", "app:2")):
        assert (result.code, result.err) == (0, f"{WARNING}\n")


def test_the_operators_login_at_the_images_registry_is_sent(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    registry_logins.save("registry:5000", Login("ann", "s3cret"))
    assert create(cli, "--with-registry-auth").err == ""
    assert update(cli, "--with-registry-auth").err == ""
    for request in (created(daemon), updated(daemon)):
        sent = request.spec.task.container.registry_auth
        assert parse_registry_auth(sent) == Credentials("ann", "s3cret")


def test_without_the_flag_no_login_is_sent(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    registry_logins.save("registry:5000", Login("ann", "s3cret"))
    create(cli)
    assert created(daemon).spec.task.container.registry_auth == ""


def test_where_no_login_is_known_it_is_said(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    registry_logins.save("other:5000", Login("ann", "s3cret"))
    result = create(cli, "--with-registry-auth")
    assert (result.code, created(daemon).spec.task.container.registry_auth) == (0, "")
    assert "no credentials for registry:5000 are known" in result.err
