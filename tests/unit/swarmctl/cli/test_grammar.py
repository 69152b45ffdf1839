"""Switches with values, as Go's flags take them, and verbs that are imported on demand."""

import click
import pytest
from click.testing import CliRunner

from swarmctl.cli.grammar import Noun, Verb


@click.command(cls=Verb)
@click.option("-t", "--tty", is_flag=True, default=None)
@click.option("-d", "--detach", is_flag=True)
@click.option("-e", "--env", multiple=True)
@click.argument("words", nargs=-1)
def mixed(**given: object) -> None:
    click.echo(given, nl=False)


@click.command(cls=Verb, context_settings={"allow_interspersed_args": False})
@click.option("-t", "--tty", is_flag=True, default=None)
@click.option("-e", "--env", multiple=True)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def strict(**given: object) -> None:
    click.echo(given, nl=False)


def given(command: click.Command, *args: str) -> dict[str, object]:
    seen: dict[str, object] = {}
    with command.make_context("x", list(args)) as context:
        seen.update(context.params)
    return {name: value for name, value in seen.items() if value not in (None, ())}


@pytest.mark.parametrize(
    ("args", "made"),
    [
        ((), {"detach": False}),
        (("--tty",), {"tty": True, "detach": False}),
        (("--tty=true", "-d=1"), {"tty": True, "detach": True}),
        (("--tty=false", "--detach=F"), {"tty": False, "detach": False}),
        (("--tty", "--tty=false"), {"tty": False, "detach": False}),
        (("--tty=false", "--tty"), {"tty": True, "detach": False}),
        (("-td",), {"tty": True, "detach": True}),
        (("--env", "--tty=false"), {"env": ("--tty=false",), "detach": False}),
        (("-e", "--tty=false"), {"env": ("--tty=false",), "detach": False}),
        (("-te", "--tty=false"), {"tty": True, "env": ("--tty=false",), "detach": False}),
        (("-eA", "--tty=false"), {"tty": False, "env": ("A",), "detach": False}),
        (("--env=A", "--tty=false"), {"tty": False, "env": ("A",), "detach": False}),
        (("a", "--tty=false"), {"tty": False, "words": ("a",), "detach": False}),
        (("--", "--tty=false"), {"words": ("--tty=false",), "detach": False}),
    ],
)
def test_switches(args: tuple[str, ...], made: dict[str, object]) -> None:
    assert given(mixed, *args) == made


@pytest.mark.parametrize(
    ("args", "made"),
    [
        (("a", "--tty=false"), {"words": ("a", "--tty=false")}),
        (("--tty=false", "a", "-t"), {"tty": False, "words": ("a", "-t")}),
        (("-e", "A", "a", "-e", "B"), {"env": ("A",), "words": ("a", "-e", "B")}),
    ],
)
def test_what_follows_the_first_argument_is_left_alone(
    args: tuple[str, ...], made: dict[str, object]
) -> None:
    assert given(strict, *args) == made


def test_a_value_that_is_neither() -> None:
    result = CliRunner().invoke(mixed, ["--tty=perhaps"])
    assert result.exit_code == 2
    assert "'perhaps' is neither true nor false" in result.output


def test_verbs_are_imported_on_demand() -> None:
    noun = Noun("noun", lazy={"far": ("no.such.module:verb", "Far away.")})
    noun.add_command(mixed, "near")
    listed = CliRunner().invoke(noun, ["--help"])
    assert "far   Far away." in listed.output
    with pytest.raises(ModuleNotFoundError):
        CliRunner().invoke(noun, ["far"], catch_exceptions=False)
