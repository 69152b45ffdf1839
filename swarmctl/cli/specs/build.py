"""From the flags of `service create` and `service update` to a spec. Pure, given the files that
--env-file names. The two commands share every row of the tables in scalars.py and lists.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from api.v1 import specs_pb2
from swarmctl.cli.specs.lists import MANY, UNSUFFIXED
from swarmctl.cli.specs.scalars import SCALARS

F = TypeVar("F", bound=Callable[..., Any])
Given = Mapping[str, Any]
_MANY_TEXTS: dict[str, Any] = {"multiple": True, "metavar": "VALUE"}


def create_options(command: F) -> F:
    """Adds every flag of the tables to `service create`."""
    for many in reversed((*MANY, *UNSUFFIXED)):
        option = click.option(*many.flag.split("/"), help=many.help, **_MANY_TEXTS)
        command = option(command)
    return _with_scalars(command)


def update_options(command: F) -> F:
    """Adds every flag of the tables to `service update`, lists as -add and -rm."""
    for many in reversed(UNSUFFIXED):
        command = click.option(many.flag, help=many.help, **_MANY_TEXTS)(command)
    for many in reversed(MANY):
        for suffix, verb in (("rm", "Remove"), ("add", "Add or replace")):
            text = f"{verb}: {many.help}"
            command = click.option(f"--{many.name}-{suffix}", help=text, **_MANY_TEXTS)(command)
    return _with_scalars(command)


def created(given: Given, *, name: str, image: str, args: Iterable[str]) -> specs_pb2.ServiceSpec:
    """The spec that the flags of `service create` describe."""
    spec = specs_pb2.ServiceSpec()
    spec.annotations.name = name
    spec.task.container.image = image
    spec.task.container.args.extend(args)
    _set_mode(spec, given)
    _set_scalars(spec, given)
    for many in (*MANY, *UNSUFFIXED):
        many.add(spec, given[_parameter(many.name)], f"--{many.name}")
    return spec


def updated(spec: specs_pb2.ServiceSpec, given: Given) -> None:
    """Changes a spec as the flags of `service update` say."""
    _set_scalars(spec, given)
    for many in MANY:
        many.remove(spec, given[_parameter(f"{many.name}-rm")])
        many.add(spec, given[_parameter(f"{many.name}-add")], f"--{many.name}-add")
    for many in UNSUFFIXED:
        many.add(spec, given[_parameter(many.name)], f"--{many.name}")


def environment_of(lines: Iterable[str], present: Mapping[str, str]) -> list[str]:
    """The variables of an --env-file: NAME=value, or NAME alone to take it from `present`."""
    found = []
    for raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, _ = line.partition("=")
        if equals:
            found.append(line)
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


def _set_scalars(spec: specs_pb2.ServiceSpec, given: Given) -> None:
    for scalar in SCALARS:
        value = given[scalar.parameter]
        if value is not None:
            scalar.set(spec, value)


def _with_scalars(command: F) -> F:
    for scalar in reversed(SCALARS):
        command = scalar.option()(command)
    return command


def _parameter(name: str) -> str:
    return name.replace("-", "_")
