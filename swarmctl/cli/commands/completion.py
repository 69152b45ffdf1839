"""`swarmctl completion`: code that teaches a shell to complete our commands."""

import click
from click.shell_completion import get_completion_class

from swarmctl.cli.grammar import Verb

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print completion code, as for ~/.bashrc: eval "$(swarmctl completion bash)"."""
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"no completion for {shell} in this version of click")
    root = ctx.find_root()
    click.echo(found(root.command, {}, "swarmctl", "_SWARMCTL_COMPLETE").source())
