"""`swarmctl service create`, `rollback`, `scale` and `update`: what makes and changes a service."""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from api.errors import Code, SwarmError
from api.image_name import domain_of
from api.modes import mode_name
from api.new_ids import new_id
from api.v1 import control_pb2, objects_pb2, specs_pb2
from swarmctl.cli import names as service_names
from swarmctl.cli import registry_logins
from swarmctl.cli.changing import change
from swarmctl.cli.client import Client
from swarmctl.cli.commands.service import MODES, get
from swarmctl.cli.completion import completes
from swarmctl.cli.failures import end, for_each
from swarmctl.cli.grammar import Verb
from swarmctl.cli.options import DURATION, MAX_COUNT, whole
from swarmctl.cli.specs.build import (
    create_options,
    created,
    environment_of,
    set_count,
    update_options,
    updated,
    variables,
)
from swarmctl.cli.waiting import wait_for

NAME_TRIES = 10
_detach = click.option("-d", "--detach", is_flag=True, help="Do not wait until it is stable")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress")
_wait_timeout = click.option(
    "--wait-timeout", type=DURATION, help="Stop waiting after this long, with exit code 3"
)


@click.command("create", cls=Verb, context_settings={"allow_interspersed_args": False})
@click.argument("image")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--name", help="Name of the service [a made-up one]")
@click.option("--mode", type=click.Choice(MODES), default="replicated", show_default=True)
@click.option("--replicas", type=whole(0), help="Number of tasks [1]")
@click.option("--max-concurrent", type=whole(0), help="Tasks of a job at once")
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of NAME=value lines",
)
@create_options
@_detach
@_quiet
@_wait_timeout
@click.pass_obj
def create(
    client: Client,
    /,
    image: str,
    args: tuple[str, ...],
    name: str | None,
    env_files: tuple[Path, ...],
    detach: bool,
    quiet: bool,
    wait_timeout: float | None,
    **given: Any,  # noqa: ANN401 - one keyword for each row of the flag tables
) -> None:
    """Create a service of containers made from IMAGE; ARGS replace the image's command."""
    given["env"] = (*_of_files(env_files), *variables(given["env"], os.environ))
    spec = created(given, name=name or "", image=image, args=args)
    if given["with_registry_auth"]:
        _add_login(spec.task.container)
    request = control_pb2.CreateServiceRequest(
        spec=spec, resolve_image=not given["no_resolve_image"]
    )
    made = _create(client, request) if name else _create_with_any_name(client, request)
    _warn(made.warnings)
    click.echo(made.id)
    if not detach:
        wait_for(client, made, quiet=quiet, timeout=wait_timeout)


@click.command("scale", cls=Verb)
@click.argument(
    "targets",
    nargs=-1,
    required=True,
    metavar="SERVICE=REPLICAS...",
    shell_complete=completes("service", suffix="="),
)
@_detach
@_wait_timeout
@click.pass_obj
def scale(
    client: Client, targets: tuple[str, ...], detach: bool, wait_timeout: float | None
) -> None:
    """Change how many tasks services have."""
    wanted = dict(map(_target, targets))

    def scale_one(name: str) -> objects_pb2.Service:
        scaled = _change(client, name, lambda present: _set_replicas(present, wanted[name]))
        click.echo(f"{name} scaled to {wanted[name]}")
        return scaled

    scaled, complete = for_each(wanted, scale_one)
    for each in [] if detach else scaled:
        wait_for(client, each, quiet=False, timeout=wait_timeout)
    end(complete)


@click.command("update", cls=Verb)
@click.argument("name", metavar="SERVICE", shell_complete=completes("service"))
@click.option("--image", help="New image")
@click.option("--args", help="New command, as one text that is split as a shell would")
@click.option("--replicas", type=whole(0), help="Number of tasks")
@click.option("--max-concurrent", type=whole(0), help="Tasks of a job at once")
@click.option("--force", is_flag=True, help="Replace tasks even if nothing changed")
@click.option("--rollback", is_flag=True, help="Go back to the previous spec")
@update_options
@_detach
@_quiet
@_wait_timeout
@click.pass_obj
def update(
    client: Client,
    /,
    name: str,
    detach: bool,
    quiet: bool,
    wait_timeout: float | None,
    **given: Any,  # noqa: ANN401
) -> None:
    """Change a service; what is not mentioned stays as it is."""
    if given.pop("rollback"):
        if _mentions(given):
            raise click.BadParameter(
                "other flags may not be combined with it", param_hint="--rollback"
            )
        _roll_back(client, name, detach=detach, quiet=quiet, wait_timeout=wait_timeout)
        return
    given["env_add"] = variables(given["env_add"], os.environ)
    # Bad flags are found before anybody is asked; this spec is thrown away.
    updated(_any_spec(given), given)

    def edit(present: objects_pb2.Service) -> None:
        updated(present.spec, given)
        if given["with_registry_auth"]:
            _add_login(present.spec.task.container)

    named_anew = given["image"] is not None
    resolve = named_anew and not given["no_resolve_image"]
    changed = _change(client, name, edit, resolve_image=resolve)
    _warn(changed.warnings)
    click.echo(name)
    if not detach:
        wait_for(client, changed, quiet=quiet, timeout=wait_timeout)


@click.command("rollback", cls=Verb)
@click.argument("name", metavar="SERVICE", shell_complete=completes("service"))
@_detach
@_quiet
@_wait_timeout
@click.pass_obj
def rollback(
    client: Client, name: str, detach: bool, quiet: bool, wait_timeout: float | None
) -> None:
    """Go back to the previous spec of a service, or on with a rollback that is paused."""
    _roll_back(client, name, detach=detach, quiet=quiet, wait_timeout=wait_timeout)


def _roll_back(
    client: Client, name: str, *, detach: bool, quiet: bool, wait_timeout: float | None
) -> None:
    def write(present: objects_pb2.Service) -> objects_pb2.Service:
        request = control_pb2.UpdateServiceRequest(
            key=present.id, version=present.meta.version, request_id=new_id(), rollback=True
        )
        return client.call(client.control.UpdateService, request, f"rolling back service {name}")

    changed = change(lambda: get(client, name), write)
    click.echo(name)
    if not detach:
        wait_for(client, changed, quiet=quiet, timeout=wait_timeout)


def _any_spec(given: dict[str, Any]) -> specs_pb2.ServiceSpec:
    if given["max_concurrent"] is not None:
        return specs_pb2.ServiceSpec(replicated_job=specs_pb2.ReplicatedJobMode())
    return specs_pb2.ServiceSpec(replicated=specs_pb2.ReplicatedMode())


def _create(client: Client, request: control_pb2.CreateServiceRequest) -> objects_pb2.Service:
    request.request_id = new_id()
    doing = f"creating service {request.spec.annotations.name}"
    return client.call(client.control.CreateService, request, doing)


def _create_with_any_name(
    client: Client, request: control_pb2.CreateServiceRequest
) -> objects_pb2.Service:
    for attempt in range(1, NAME_TRIES + 1):
        request.spec.annotations.name = service_names.generate(secrets.choice)
        try:
            return _create(client, request)
        except SwarmError as error:
            if error.code is not Code.EXISTS or attempt == NAME_TRIES:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _change(
    client: Client,
    name: str,
    edit: Callable[[objects_pb2.Service], None],
    *,
    resolve_image: bool = False,
) -> objects_pb2.Service:
    def write(present: objects_pb2.Service) -> objects_pb2.Service:
        edit(present)
        request = control_pb2.UpdateServiceRequest(
            key=present.id,
            spec=present.spec,
            version=present.meta.version,
            request_id=new_id(),
            resolve_image=resolve_image,
        )
        return client.call(client.control.UpdateService, request, f"updating service {name}")

    return change(lambda: get(client, name), write)


def _add_login(container: specs_pb2.ContainerSpec) -> None:
    registry = domain_of(container.image)
    login = registry_logins.find(registry)
    if login is None:
        _warn([f"no credentials for {registry} are known: see swarmctl image login --help"])
    else:
        container.registry_auth = registry_logins.encoded(login, registry)


def _warn(warnings: Iterable[str]) -> None:
    for each in warnings:
        click.echo(each, err=True)


def _target(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdecimal() or int(count) > MAX_COUNT:
        raise click.BadParameter(f"{text!r}: use SERVICE=REPLICAS", param_hint="SERVICE")
    return name, int(count)


def _set_replicas(present: objects_pb2.Service, count: int) -> None:
    if not set_count(present.spec, count):
        raise SwarmError(
            Code.REFUSED,
            f"service {present.spec.annotations.name} cannot be scaled",
            why=f"its mode is {mode_name(present)}, with one task on each node",
            remedy="scale can only be used with replicated or replicated-job mode",
        )


def _of_files(files: Iterable[Path]) -> list[str]:
    found = []
    for path in files:
        try:
            # Bytes: read as text, a carriage return within a value would end its line.
            found += environment_of(path.read_bytes().decode("utf-8-sig"), os.environ)
        except (OSError, ValueError) as error:
            raise click.BadParameter(
                f"cannot read {path}: {error}", param_hint="--env-file"
            ) from error
    return found


def _mentions(given: Mapping[str, Any]) -> bool:
    """Whether any flag was given; a switch that was taken back is one, as --tty=false."""
    context = click.get_current_context()
    defaults = {each.name: each.get_default(context) for each in context.command.params}
    return any(value not in (None, (), defaults.get(name)) for name, value in given.items())
