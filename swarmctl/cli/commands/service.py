"""`swarmctl service`: what runs on the swarm."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from api.errors import Code, SwarmError
from api.ids import new_id
from api.times import seconds_of
from api.v1 import control_pb2, objects_pb2
from swarmctl.cli import names as service_names
from swarmctl.cli.client import Client
from swarmctl.cli.commands.service_logs import logs
from swarmctl.cli.commands.task import TASKS, list_tasks
from swarmctl.cli.completion import completes
from swarmctl.cli.documents import document
from swarmctl.cli.options import (
    DURATION,
    filter_option,
    format_option,
    inspect_format,
    no_trunc_option,
    parse_filters,
    quiet_option,
)
from swarmctl.cli.render import Listing, inspect, pretty
from swarmctl.cli.specs.build import (
    create_options,
    created,
    environment_of,
    update_options,
    updated,
)
from swarmctl.cli.units import binary_size, rfc3339
from swarmctl.cli.waiting import wait_for

MODES = ("replicated", "global", "replicated-job", "global-job")
UPDATE_TRIES = 5
SHORT_ID = 12
_FILTERS = ("id", "label", "mode", "name")
_LISTING = Listing(
    columns=(
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Mode", "MODE"),
        ("Replicas", "REPLICAS"),
        ("Image", "IMAGE"),
        ("Ports", "PORTS"),
    ),
    quiet="ID",
)
_detach = click.option("-d", "--detach", is_flag=True, help="Do not wait until it is stable")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress")
_wait_timeout = click.option(
    "--wait-timeout", type=DURATION, help="Stop waiting after this long, with exit code 3"
)


@click.group()
def service() -> None:
    """Manage services."""


@service.command("create", context_settings={"allow_interspersed_args": False})
@click.argument("image")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--name", help="Name of the service")
@click.option("--mode", type=click.Choice(MODES), default="replicated", show_default=True)
@click.option("--replicas", type=click.IntRange(min=0), help="Number of tasks [1]")
@click.option("--max-concurrent", type=click.IntRange(min=0), help="Tasks of a job at once")
@click.option(
    "--env-file", "env_files", multiple=True, type=click.Path(exists=True, path_type=Path)
)
@click.option("--with-registry-auth", is_flag=True, help="Send registry credentials to nodes")
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
    with_registry_auth: bool,
    detach: bool,
    quiet: bool,
    wait_timeout: float | None,
    **given: Any,  # noqa: ANN401 - one keyword for each row of the flag tables
) -> None:
    """Create a service of containers made from IMAGE; ARGS replace the image's command."""
    chosen = name or service_names.generate(secrets.choice)
    given["env"] = (*_variables(env_files), *given["env"])
    spec = created(given, name=chosen, image=image, args=args)
    if with_registry_auth:
        spec.task.container.registry_auth = "stored"
    request = control_pb2.CreateServiceRequest(spec=spec, request_id=new_id())
    made = client.call(client.control.CreateService, request, f"creating service {chosen}")
    click.echo(made.id)
    if not detach:
        wait_for(client, made, quiet=quiet, timeout=wait_timeout)


@service.command("ls")
@filter_option
@format_option
@quiet_option
@click.pass_obj
def ls(client: Client, filters: tuple[str, ...], form: str, quiet: bool) -> None:
    """List services."""
    _LISTING.check(form)
    asked = parse_filters(filters, _FILTERS)
    request = control_pb2.ListServicesRequest(
        ids=asked.get("id", []), names=asked.get("name", []), modes=asked.get("mode", [])
    )
    for text in asked.get("label", []):
        key, _, value = text.partition("=")
        request.labels[key] = value
    found = client.call(client.control.ListServices, request, "listing services")
    ordered = sorted(found.services, key=lambda s: s.spec.annotations.name)
    rows = [_row(each, found.counts[each.id]) for each in ordered]
    click.echo(_LISTING.render(rows, form, quiet=quiet), nl=False)


@service.command("ps")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@filter_option
@format_option
@no_trunc_option
@quiet_option
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@click.pass_obj
def ps(
    client: Client,
    names: tuple[str, ...],
    filters: tuple[str, ...],
    form: str,
    no_trunc: bool,
    quiet: bool,
    no_resolve: bool,
) -> None:
    """List the tasks of services, with their history."""
    TASKS.check(form)
    list_tasks(
        client,
        control_pb2.ListTasksRequest(service_keys=names),
        filters,
        form,
        no_trunc=no_trunc,
        quiet=quiet,
        resolve=not no_resolve,
    )


@service.command("inspect")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@inspect_format
@click.option("--pretty", "as_text", is_flag=True, help="Print for people")
@click.pass_obj
def inspect_(client: Client, names: tuple[str, ...], form: str, as_text: bool) -> None:
    """Show services in full."""
    found = [_get(client, name) for name in names]
    if as_text:
        click.echo("\n".join(_pretty(each) for each in found), nl=False)
    else:
        click.echo(inspect([document(each) for each in found], form), nl=False)


@service.command("scale")
@click.argument("targets", nargs=-1, required=True, metavar="SERVICE=REPLICAS...")
@_detach
@_wait_timeout
@click.pass_obj
def scale(
    client: Client, targets: tuple[str, ...], detach: bool, wait_timeout: float | None
) -> None:
    """Change how many tasks services have."""
    wanted = []
    for text in targets:
        name, _, count = text.partition("=")
        if not name or not count.isdigit():
            raise click.BadParameter(f"{text!r}: use SERVICE=REPLICAS", param_hint="SERVICE")
        wanted.append((name, int(count)))
    for name, _ in wanted:
        _check_scalable(_get(client, name))
    scaled = [_change(client, name, _replicas(count)) for name, count in wanted]
    for each in scaled:
        click.echo(f"{each.spec.annotations.name} scaled to {each.spec.replicated.replicas}")
    for each in [] if detach else scaled:
        wait_for(client, each, quiet=False, timeout=wait_timeout)


@service.command("update")
@click.argument("name", shell_complete=completes("service"))
@click.option("--image", help="New image")
@click.option("--args", help="New command, as one text that is split as a shell would")
@click.option("--replicas", type=click.IntRange(min=0), help="Number of tasks")
@click.option("--max-concurrent", type=click.IntRange(min=0), help="Tasks of a job at once")
@click.option("--force", is_flag=True, help="Replace tasks even if nothing changed")
@click.option("--rollback", is_flag=True, help="Go back to the previous spec")
@click.option("--with-registry-auth", is_flag=True, help="Send registry credentials to nodes")
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
    if given["rollback"]:
        raise SwarmError(Code.UNSUPPORTED, "--rollback is not supported yet", remedy="leave it out")
    changed = _change(client, name, lambda present: _edit(present, given))
    click.echo(changed.spec.annotations.name)
    if not detach:
        wait_for(client, changed, quiet=quiet, timeout=wait_timeout)


@service.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=completes("service"))
@click.pass_obj
def rm(client: Client, names: tuple[str, ...]) -> None:
    """Remove services; their tasks are stopped."""
    for name in names:
        request = control_pb2.RemoveRequest(key=name, request_id=new_id())
        client.call(client.control.RemoveService, request, f"removing service {name}")
        click.echo(name)


def _get(client: Client, name: str) -> objects_pb2.Service:
    request = control_pb2.GetRequest(key=name)
    return client.call(client.control.GetService, request, f"looking up service {name}")


def _change(client: Client, name: str, edit: Any) -> objects_pb2.Service:  # noqa: ANN401
    """Reads, edits and writes; reads again if somebody else was faster."""
    for attempt in range(UPDATE_TRIES):
        present = _get(client, name)
        edit(present)
        request = control_pb2.UpdateServiceRequest(
            key=present.id,
            spec=present.spec,
            version=present.meta.version,
            request_id=new_id(),
        )
        try:
            return client.call(client.control.UpdateService, request, f"updating service {name}")
        except SwarmError as error:
            if error.code is not Code.CONFLICT or attempt == UPDATE_TRIES - 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _edit(present: objects_pb2.Service, given: dict[str, Any]) -> None:
    spec = present.spec
    if given["replicas"] is not None:
        _replicas(given["replicas"])(present)
    if given["max_concurrent"] is not None:
        spec.replicated_job.max_concurrent = given["max_concurrent"]
    if given["image"] is not None:
        spec.task.container.image = given["image"]
    if given["args"] is not None:
        import shlex  # noqa: PLC0415 - rarely used, and start-up time counts

        spec.task.container.args[:] = shlex.split(given["args"])
    if given["force"]:
        spec.task.force_update += 1
    if given["with_registry_auth"]:
        spec.task.container.registry_auth = "stored"
    updated(spec, given)


def _replicas(count: int) -> Any:  # noqa: ANN401 - an edit for _change
    def edit(present: objects_pb2.Service) -> None:
        _check_scalable(present)
        present.spec.replicated.replicas = count

    return edit


def _check_scalable(present: objects_pb2.Service) -> None:
    if present.spec.WhichOneof("mode") != "replicated":
        raise SwarmError(
            Code.REFUSED,
            f"service {present.spec.annotations.name} cannot be scaled",
            why=f"its mode is {_mode(present)}",
            remedy="only replicated services have a number of replicas",
        )


def _variables(files: Iterable[Path]) -> list[str]:
    found = []
    for path in files:
        try:
            found += environment_of(path.read_text().splitlines(), os.environ)
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(
                f"cannot read {path}: {error}", param_hint="--env-file"
            ) from error
    return found


def _mode(each: objects_pb2.Service) -> str:
    return (each.spec.WhichOneof("mode") or "").replace("_", "-")


def _row(each: objects_pb2.Service, counts: control_pb2.ServiceCounts) -> dict[str, str]:
    return {
        "ID": each.id[:SHORT_ID],
        "Name": each.spec.annotations.name,
        "Mode": _mode(each),
        "Replicas": f"{counts.running}/{counts.desired}",
        "Image": each.spec.task.container.image,
        "Ports": "",
    }


def _pretty(each: objects_pb2.Service) -> str:
    spec, container, resources = each.spec, each.spec.task.container, each.spec.task.resources
    rows = [
        ("ID", each.id),
        ("Name", spec.annotations.name),
        ("Service Mode", _mode(each).capitalize()),
        (" Replicas", str(spec.replicated.replicas) if _mode(each) == "replicated" else ""),
        ("Created", rfc3339(seconds_of(each.meta.created_at))),
        ("Update Status", _update_word(each)),
        ("Image", container.image),
        ("Command", " ".join(container.command)),
        ("Args", " ".join(container.args)),
        ("Env", " ".join(container.env)),
        ("User", container.user),
        ("Limit CPUs", f"{resources.limits.nano_cpus / 1e9:g}"),
        ("Limit Memory", binary_size(resources.limits.memory_bytes)),
        ("Reserve CPUs", f"{resources.reservations.nano_cpus / 1e9:g}"),
        ("Reserve Memory", binary_size(resources.reservations.memory_bytes)),
        ("Networks", " ".join(each.target for each in spec.task.networks) or "none"),
        *((f"Label {key}", value) for key, value in sorted(spec.annotations.labels.items())),
    ]
    return pretty([(label, value) for label, value in rows if value not in ("", "0", "0B")])


def _update_word(each: objects_pb2.Service) -> str:
    status = each.update_status
    if not status.state:
        return ""
    word = objects_pb2.UpdateStatus.State.Name(status.state).removeprefix("STATE_").lower()
    return f"{word}: {status.message}" if status.message else word


service.add_command(logs)
