"""From the flags of `service create` and `service update` to a spec. Pure: files and variables
that flags name are read before. The two commands share every row of the tables in scalars.py and
lists.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from api.v1 import specs_pb2
from swarmctl.cli.specs import capabilities
from swarmctl.cli.specs.lists import MANY, UNSUFFIXED
from swarmctl.cli.specs.scalars import HEALTH, SCALARS, split_words

F = TypeVar("F", bound=Callable[..., Any])
Given = Mapping[str, Any]
_MANY_TEXTS: dict[str, Any] = {"multiple": True, "metavar": "VALUE"}


def create_options(command: F) -> F:
    """Adds every flag of the tables to `service create`."""
    for many in reversed((*MANY, *UNSUFFIXED)):
        option = click.option(*many.flag.split("/"), help=many.help, **_MANY_TEXTS)
        command = option(command)
    return _with_common(command)


def update_options(command: F) -> F:
    """Adds every flag of the tables to `service update`, lists as -add and -rm."""
    for many in reversed(UNSUFFIXED):
        command = click.option(many.flag, help=many.help, **_MANY_TEXTS)(command)
    for many in reversed(MANY):
        for suffix, verb in (("rm", "Remove"), ("add", "Add or replace")):
            text = f"{verb}: {many.help}"
            command = click.option(f"--{many.name}-{suffix}", help=text, **_MANY_TEXTS)(command)
    return _with_common(command)


def created(given: Given, *, name: str, image: str, args: Iterable[str]) -> specs_pb2.ServiceSpec:
    """The spec that the flags of `service create` describe."""
    spec = specs_pb2.ServiceSpec()
    spec.annotations.name = name
    spec.task.container.image = image
    spec.task.container.args.extend(args)
    _set_mode(spec, given)
    _set_common(spec, given)
    for many in (*MANY, *UNSUFFIXED):
        many.add(spec, given[_parameter(many.name)], f"--{many.name}")
    return spec


def updated(spec: specs_pb2.ServiceSpec, given: Given) -> None:
    """Changes a spec as the flags of `service update` say, in place."""
    container = spec.task.container
    _update_mode(spec, given)
    if given["image"] is not None:
        container.image = given["image"]
    if given["args"] is not None:
        try:
            container.args[:] = split_words(given["args"])
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--args") from error
    if given["force"]:
        spec.task.force_update += 1
    _set_common(spec, given)
    for many in MANY:
        for suffix, change in (("rm", many.remove), ("add", many.add)):
            change(spec, given[_parameter(f"{many.name}-{suffix}")], f"--{many.name}-{suffix}")
    for many in UNSUFFIXED:
        many.add(spec, given[_parameter(many.name)], f"--{many.name}")


def environment_of(text: str, present: Mapping[str, str]) -> list[str]:
    """The variables of an --env-file, as those of --env; empty lines and comments are skipped.

    As Docker's: blanks before a name are skipped, those of a value are its own, and a line ends
    at a line feed alone. ValueError for what is no name.
    """
    lines = (line.removesuffix("\r").lstrip() for line in text.split("\n"))
    told = [line for line in lines if line and not line.startswith("#")]
    for line in told:
        name = line.partition("=")[0]
        if not name or any(character.isspace() for character in name):
            raise ValueError(f"{name!r} is no name of a variable; write NAME=value")
    return variables(told, present)


def variables(texts: Iterable[str], present: Mapping[str, str]) -> list[str]:
    """NAME=value as it is, and for a NAME alone its value in `present`, or nothing, as Docker."""
    found = []
    for text in texts:
        name, equals, _ = text.partition("=")
        if equals or not name:
            found.append(text)
        elif name in present:
            found.append(f"{name}={present[name]}")
    return found


def _set_mode(spec: specs_pb2.ServiceSpec, given: Given) -> None:
    mode, replicas, concurrent = given["mode"], given["replicas"], given["max_concurrent"]
    if replicas is not None and mode not in ("replicated", "replicated-job"):
        raise click.BadParameter(f"has no meaning with --mode {mode}", param_hint="--replicas")
    if concurrent is not None and mode != "replicated-job":
        raise click.BadParameter("needs --mode replicated-job", param_hint="--max-concurrent")
    count = 1 if replicas is None else replicas
    if mode == "replicated":
        spec.replicated.replicas = count
    elif mode == "replicated-job":
        spec.replicated_job.total_completions = count
        spec.replicated_job.max_concurrent = concurrent or 0
    else:
        getattr(spec, mode.replace("-", "_")).SetInParent()


def _update_mode(spec: specs_pb2.ServiceSpec, given: Given) -> None:
    # The mode itself cannot change; a flag of another mode would change it without a word.
    replicas, concurrent = given["replicas"], given["max_concurrent"]
    present = (spec.WhichOneof("mode") or "").replace("_", "-")
    if replicas is not None and not set_count(spec, replicas):
        raise click.BadParameter(f"has no meaning with mode {present}", param_hint="--replicas")
    if concurrent is not None:
        if not spec.HasField("replicated_job"):
            raise click.BadParameter(
                f"has no meaning with mode {present}", param_hint="--max-concurrent"
            )
        spec.replicated_job.max_concurrent = concurrent


def set_count(spec: specs_pb2.ServiceSpec, count: int) -> bool:
    """How many tasks the service has, or the job is to complete; False if its mode counts none."""
    if spec.HasField("replicated"):
        spec.replicated.replicas = count
    elif spec.HasField("replicated_job"):
        spec.replicated_job.total_completions = count
    else:
        return False
    return True


def _set_common(spec: specs_pb2.ServiceSpec, given: Given) -> None:
    if given["no_healthcheck"] and any(given[s.parameter] is not None for s in HEALTH[1:]):
        raise click.BadParameter(
            "cannot be combined with --health-* flags", param_hint="--no-healthcheck"
        )
    for scalar in SCALARS:
        value = given[scalar.parameter]
        if value is not None:
            scalar.apply(spec, value)
    if given["cap_add"] or given["cap_drop"]:
        capabilities.change(spec.task.container, given["cap_add"], given["cap_drop"])


def _with_common(command: F) -> F:
    command = click.option(
        "--no-resolve-image", is_flag=True, help="Do not pin the image to its digest"
    )(command)
    command = click.option(
        "--with-registry-auth", is_flag=True, help="Send registry credentials to nodes"
    )(command)
    command = click.option("--cap-drop", help="Take a capability", **_MANY_TEXTS)(command)
    command = click.option("--cap-add", help="Give a capability", **_MANY_TEXTS)(command)
    for scalar in reversed(SCALARS):
        command = scalar.option()(command)
    return command


def _parameter(name: str) -> str:
    return name.replace("-", "_")
