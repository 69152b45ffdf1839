"""The flags of `machine create` that drivers want: `--driver`, and `--NAME-OPTION` of each.

A driver that cannot be loaded adds none, and is told when it is chosen.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from api.errors import invalid
from machine.driver import DriverKind, Option
from machine.drivers.registry import kind, kinds

F = TypeVar("F", bound=Callable[..., Any])
_UNSAID = (None, "", False, 0)


def driver_flags(command: F) -> F:
    """Adds them to a command, whose parameters get `driver` and what `chosen_options` takes."""
    found, _ = kinds()
    for each in sorted(found.values(), key=lambda kind: kind.name, reverse=True):
        for option in reversed(each.options):
            command = _flag(each, option)(command)
    return click.option(
        "-d",
        "--driver",
        default="generic",
        show_default=True,
        envvar="SWARM_MACHINE_DRIVER",
        help=f"Where the host comes from: {', '.join(sorted(found))}",
    )(command)


def chosen_options(
    ctx: click.Context, driver: str, params: dict[str, Any]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The options of the chosen driver by their names, and the parameters that are no driver's.

    INVALID for a flag of another driver; what the environment says of others is left alone.
    """
    chosen = kind(driver)
    rest = dict(params)
    options: dict[str, Any] = {}
    for each in kinds()[0].values():
        for option in each.options:
            name = parameter(each, option)
            value = rest.pop(name, None)
            if each.name == chosen.name:
                options[option.name] = _said(ctx, name, value)
            elif ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise invalid(
                    f"{each.name}-{option.name}",
                    f"--{each.name}-{option.name} is of another driver",
                    why=f"the driver is {chosen.name}",
                    remedy=f"choose it with --driver {each.name}",
                )
    return options, rest


def parameter(kind: DriverKind, option: Option) -> str:
    """What click calls the option of a driver."""
    return f"{kind.name}_{option.name}".replace("-", "_")


def _said(ctx: click.Context, name: str, value: Any) -> Any:  # noqa: ANN401 - of its kind
    """None for what nobody said: the driver's default holds then."""
    said = ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)
    return value if said else None


def _flag(kind: DriverKind, option: Option) -> Callable[[F], F]:
    default = "" if option.default in _UNSAID else f" [{option.default}]"
    name = parameter(kind, option)
    return click.option(
        f"--{kind.name}-{option.name}",
        name,
        type=None if option.kind is bool else option.kind,
        is_flag=option.kind is bool,
        multiple=option.multiple,
        envvar=name.upper(),
        help=f"{kind.name}: {option.help}{default}",
    )
