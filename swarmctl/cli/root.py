"""The tree of commands. A noun's module is imported when the noun is used, and not before: the
start of a process is most of what a short command costs.
"""

import os

import click
from click.core import ParameterSource

from swarmctl.cli.completion import context_names
from swarmctl.cli.failures import show_tracebacks
from swarmctl.cli.grammar import Noun
from swarmctl.cli.options import DURATION

_COMMANDS = "swarmctl.cli.commands"
_NOUNS = {
    "completion": (f"{_COMMANDS}.completion:completion", "Print shell completion code"),
    "config": (f"{_COMMANDS}.secret:config", "Manage files for tasks that are no secret"),
    "context": (f"{_COMMANDS}.context:context", "Manage which swarm is spoken to"),
    "events": (f"{_COMMANDS}.events:events", "Show what happens in the swarm"),
    "image": (f"{_COMMANDS}.image:image", "Manage the images on this host"),
    "lab": (f"{_COMMANDS}.lab:lab", "Make hosts out of namespaces on this machine"),
    "machine": (
        f"{_COMMANDS}.machine.group:machine",
        "Manage hosts over SSH, and make nodes of them",
    ),
    "network": (f"{_COMMANDS}.network:network", "Manage networks, in which tasks meet"),
    "node": (f"{_COMMANDS}.node:node", "Manage the nodes of the swarm"),
    "secret": (f"{_COMMANDS}.secret:secret", "Manage files that only tasks may read"),
    "service": (f"{_COMMANDS}.service:service", "Manage services"),
    "swarm": (f"{_COMMANDS}.swarm:swarm", "Make, join and leave a swarm"),
    "system": (f"{_COMMANDS}.system:system", "Show what this host and swarm are"),
    "task": (f"{_COMMANDS}.task:task", "Look at single tasks, and into them"),
    "volume": (f"{_COMMANDS}.volume:volume", "Manage data that follows tasks to other hosts"),
}


@click.command(
    cls=Noun,
    lazy=_NOUNS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-H", "--host", envvar="SWARM_HOST", help="Daemon: unix:///PATH or tcp://HOST[:PORT]")
@click.option(
    "--context",
    "context_name",
    envvar="SWARM_CONTEXT",
    help="Context to use",
    shell_complete=context_names,
)
@click.option("--cert-path", envvar="SWARM_CERT_PATH", help="Folder of the certificate, for tcp://")
@click.option(
    "--timeout",
    type=DURATION,
    envvar="SWARM_TIMEOUT",
    default="30s",
    show_default=True,
    help="How long a call may take",
)
@click.option(
    "--stale",
    is_flag=True,
    help="Read what the asked manager holds, though it may be old: works without a leader",
)
@click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    envvar="SWARM_DEBUG",
    callback=show_tracebacks,
    help="Show a traceback when something fails",
)
@click.version_option(package_name="swarmctl", prog_name="swarmctl")
@click.pass_context
def swarmctl(
    ctx: click.Context,
    host: str | None,
    context_name: str | None,
    cert_path: str | None,
    timeout: float,
    stale: bool,
) -> None:
    """Run services of containers on a swarm of hosts."""
    # gRPC's core writes its own lines to stderr otherwise, beside the error that we show.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from swarmctl.cli.client import Client  # noqa: PLC0415 - grpc is needed by few commands' help

    if context_name and _is_only_around(ctx, "host"):
        # As in Docker: who names a context here means it, whatever host the environment names.
        host = None
        cert_path = None if _is_only_around(ctx, "cert_path") else cert_path
    ctx.obj = Client(
        host=host or "",
        context=context_name or "",
        cert_path=cert_path or "",
        timeout=timeout,
        stale=stale,
    )
    ctx.call_on_close(ctx.obj.close)


def _is_only_around(ctx: click.Context, option: str) -> bool:
    """Whether the option is from the environment, and the context is from the command line."""
    said = ctx.get_parameter_source("context_name")
    found = ctx.get_parameter_source(option)
    return (said, found) == (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
