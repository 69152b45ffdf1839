"""`swarmctl completion`: code that teaches a shell to complete our commands, and a function for its
prompt that shows which machine is active.
"""

import click
from click.shell_completion import get_completion_class

from swarmctl.cli.grammar import Verb

SHELLS = ("bash", "zsh", "fish")
_PROMPT = """
# For a prompt that shows the active machine: PS1='\\u@\\h:\\w$(__swarmctl_ps1)$ '; its argument is
# a format for printf. It reads the environment alone, and so costs no time.
__swarmctl_ps1() {
    if [ -n "${SWARM_MACHINE_NAME-}" ]; then printf -- "${1:- [%s]}" "$SWARM_MACHINE_NAME"; fi
}
"""
_PROMPT_OF = {
    "bash": _PROMPT,
    "zsh": _PROMPT.replace("PS1='\\u@\\h:\\w", "setopt prompt_subst; PS1='%n@%m:%~"),
    "fish": """
# For a prompt that shows the active machine: call this within fish_prompt. It reads the environment
# alone, and so costs no time.
function __swarmctl_ps1
    test -n "$SWARM_MACHINE_NAME"; and printf ' [%s]' $SWARM_MACHINE_NAME
end
""",
}


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
    click.echo(_PROMPT_OF[shell], nl=False)
