"""How our command lines differ from click's: switches take `=true` and `=false` as Go's do, and a
noun imports a verb's module only when the verb is used.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping

import click

_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")


class Verb(click.Command):
    """A command whose switches may be written as --tty=false, which is how one is taken back."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses as click does, with the values of switches taken out beforehand."""
        words = _Words(self, ctx, args)
        rest = super().parse_args(ctx, list(words))
        ctx.params.update(words.switched_off)
        return rest


class _Words:
    """The words of a command line without the values of switches."""

    def __init__(self, command: click.Command, ctx: click.Context, args: Iterable[str]) -> None:
        self._options = {
            flag: option
            for option in command.get_params(ctx)
            if isinstance(option, click.Option)
            for flag in (*option.opts, *option.secondary_opts)
        }
        self._args = iter(args)
        self._interspersed = ctx.allow_interspersed_args
        self.switched_off: dict[str, bool] = {}

    def __iter__(self) -> Iterator[str]:
        for word in self._args:
            if word == "--" or not (word.startswith("-") or self._interspersed):
                yield word
                break
            name, equals, text = word.partition("=")
            option = self._options.get(name)
            if option is not None and option.is_flag:
                yield from self._switch(option, name, text if equals else "true")
                continue
            yield word
            if self._wants_more(word):
                yield from _next(self._args)
        yield from self._args

    def _switch(self, option: click.Option, name: str, text: str) -> Iterator[str]:
        parameter = option.name or ""
        if text.lower() in _TRUE:
            self.switched_off.pop(parameter, None)
            yield name
        elif text.lower() in _FALSE:
            self.switched_off[parameter] = False
        else:
            raise click.BadParameter(f"{text!r} is neither true nor false", param_hint=name)

    def _wants_more(self, word: str) -> bool:
        """Whether the next word is the value of an option in this one."""
        if word.startswith("--"):
            option = self._options.get(word)
            return option is not None and not option.is_flag
        for index, letter in enumerate(word[1:], 2):
            option = self._options.get(f"-{letter}")
            if option is not None and not option.is_flag:
                return index == len(word)
        return False


def _next(args: Iterator[str]) -> Iterator[str]:
    for word in args:
        yield word
        return


class Noun(click.Group):
    """A group of verbs. `lazy`: verbs that are imported on demand, as module:attribute and help."""

    command_class = Verb

    def __init__(
        self,
        name: str | None = None,
        *,
        lazy: Mapping[str, tuple[str, str]] | None = None,
        **settings: object,
    ) -> None:
        super().__init__(name, **settings)  # type: ignore[arg-type]
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in order."""
        return sorted({*self.commands, *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, imported now if need be."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help lines, without importing a verb."""
        helps = {name: text for name, (_, text) in self._lazy.items()}
        helps |= {name: each.get_short_help_str(80) for name, each in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(helps.items()))
