"""The tree of commands. A noun's module is imported when the noun is used, and not before: the
start of a process is most of what a short command costs.
"""

import importlib
from collections.abc import Sequence

import click

_NOUNS = {
    "completion": ("swarmctl.cli.commands.completion:completion", "Print shell completion code"),
    "context": ("swarmctl.cli.commands.context:context", "Manage which swarm is spoken to"),
    "image": ("swarmctl.cli.commands.image:image", "Manage the images on this host"),
    "lab": ("swarmctl.cli.commands.lab:lab", "Make hosts out of namespaces on this machine"),
    "node": ("swarmctl.cli.commands.node:node", "Manage the nodes of the swarm"),
    "service": ("swarmctl.cli.commands.service:service", "Manage services"),
    "swarm": ("swarmctl.cli.commands.swarm:swarm", "Make, join and leave a swarm"),
    "system": ("swarmctl.cli.commands.system:system", "Show what this host and swarm are"),
    "task": ("swarmctl.cli.commands.task:task", "Look at single tasks"),
}


class LazyGroup(click.Group):
    """A group whose members are imported on demand; their help lines are known beforehand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All nouns, in order."""
        return sorted(_NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The noun's group, imported now."""
        if cmd_name not in _NOUNS:
            return None
        module, _, attribute = _NOUNS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help lines, without importing a noun."""
        rows: Sequence[tuple[str, str]] = [(name, _NOUNS[name][1]) for name in sorted(_NOUNS)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=False,
)
@click.option("-H", "--host", envvar="SWARM_HOST", help="Daemon: unix:///PATH or tcp://HOST[:PORT]")
@click.option("--context", "context_name", envvar="SWARM_CONTEXT", help="Context to use")
@click.option("--cert-path", envvar="SWARM_CERT_PATH", help="Folder of the certificate, for tcp://")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails")
@click.version_option(package_name="swarmctl", prog_name="swarmctl")
@click.pass_context
def swarmctl(
    ctx: click.Context,
    host: str | None,
    context_name: str | None,
    cert_path: str | None,
    debug: bool,
) -> None:
    """Run services of containers on a swarm of hosts."""
    from swarmctl.cli.client import Client  # noqa: PLC0415 - grpc is needed by few commands' help

    ctx.obj = Client(host=host or "", context=context_name or "", cert_path=cert_path or "")
    ctx.call_on_close(ctx.obj.close)
