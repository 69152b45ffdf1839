"""Writes cli.md beside it out of the commands themselves: python docs/reference/generate_cli.py"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from swarmctl.cli.root import swarmctl

TARGET = Path(__file__).with_name("cli.md")
HEAD = """\
# The command line

Made from the commands by `docs/reference/generate_cli.py`; edit the commands, not this page.

Data goes to standard output, talk and errors to standard error. An error says what failed, why, and
what to do. A switch may be given a value, as in `--tty=false`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed or refused |
| 2 | the command line is wrong |
| 3 | not converged: not within `--wait-timeout`, or the update was paused or rolled back |
| 4 | the daemon cannot be reached, or no manager leads |
| 130 | interrupted; a service that was being waited for goes on |

`task exec` and `service exec` end with the exit code of their command: 128 + signal if one ended
it, 126 if it cannot be run, 127 if it is not found. Where there is none, the codes above tell why,
and a line on standard error that begins with `swarmctl:`.

`--format` takes `table`, `json`, `table TEMPLATE` or a template: `{{.Field}}`, `{{.Spec.Name}}`,
`{{json .}}`, and the functions index, join, json, lower, println, split, title and upper, also in
pipes. Labels are `{{.Spec.Labels.tier}}` or `{{index .Spec.Labels "com.example.tier"}}`.
`--filter KEY=VALUE` may be repeated: different keys all have to match. Of several values of one key
one is enough, but all labels (`label=KEY`, `label=KEY=VALUE`) have to; `id`, `name` are prefixes.
"""


def page() -> str:
    """The whole page."""
    with click.Context(swarmctl, info_name="swarmctl") as context:
        return HEAD + "".join(_sections(swarmctl, context))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _section(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            verb = command.get_command(context, name)
            if verb is not None and not verb.hidden:
                with click.Context(verb, info_name=name, parent=context) as inner:
                    yield from _sections(verb, inner)


def _section(command: click.Command, context: click.Context) -> str:
    level = "##" if isinstance(command, click.Group) else "###"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    parts = [f"\n{level} {context.command_path}\n", f"\n    {usage}\n", f"\n{text}\n"]
    rows = [_row(option) for option in command.params if isinstance(option, click.Option)]
    if rows:
        parts.append("\n| option | meaning |\n|---|---|\n" + "".join(rows))
    return "".join(parts)


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    meaning = option.help or ""
    if option.show_default and option.default is not None:
        meaning += f" [{option.default}]"
    if option.envvar:
        meaning += f" (`{option.envvar}`)"
    if isinstance(option.type, click.Choice):
        meaning += f" {', '.join(map(str, option.type.choices))}"
    return f"| {names} | {_escaped(meaning.strip())} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    TARGET.write_text(page())
