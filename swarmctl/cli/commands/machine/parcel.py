"""`swarmctl machine export` and `import`: machines in one encrypted file."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from api.backup_key import SALT_BYTES
from api.errors import Code, SwarmError, invalid
from machine.moving.cargo import Cargo, decoded, encoded
from machine.moving.moving import exported, take_in
from machine.moving.sealed import LIMIT, NONCE_BYTES, opened, sealed
from machine.store import files
from machine.store.store import Store
from swarmctl.cli.commands.machine.names import machine_names
from swarmctl.cli.grammar import Verb
from swarmctl.cli.passphrase import ask

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="Its first line is the passphrase [asked for]",
)


@click.command(cls=Verb)
@click.argument("names", nargs=-1, shell_complete=machine_names)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write"
)
@click.option(
    "--authority",
    is_flag=True,
    help="Also what makes certificates: for another workstation of yours, and for nobody else",
)
@passphrase_option
def export(
    names: tuple[str, ...], output: Path, authority: bool, passphrase_file: Path | None
) -> None:
    """Write machines, by default all, with their keys into an encrypted file."""
    store = Store.open()
    chosen = names or tuple(store.names())
    if not chosen:
        raise SwarmError(Code.NOT_FOUND, "there are no machines to export")
    write(output, passphrase_file, lambda: exported(store, chosen, authority=authority))


@click.command("import", cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@passphrase_option
def import_(file: Path, passphrase_file: Path | None) -> None:
    """Put machines of a file into the store."""
    try:
        with file.open("rb") as opening:
            data = opening.read(LIMIT + 1)
    except OSError as error:
        raise SwarmError(Code.REFUSED, f"cannot read {file}", why=error.strerror or "") from None
    if len(data) > LIMIT:
        raise SwarmError(Code.EXHAUSTED, f"{file} is too long", why=f"the limit is {LIMIT} bytes")
    cargo = decoded(opened(data, ask(passphrase_file)))
    click.echo(f"From {cargo.sender}", err=True)
    for name in take_in(Store.open(), cargo):
        click.echo(name)


def write(path: Path, passphrase_file: Path | None, pack: Callable[[], Cargo]) -> None:
    """Writes a sealed file, and prints the names of what is in it. Replaces none."""
    if path.exists():
        raise invalid("output", f"{path} is there already", remedy="choose another name")
    passphrase = ask(passphrase_file, twice=True)
    cargo = pack()
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    content = sealed(encoded(cargo), passphrase, salt, nonce)
    try:
        files.replace(path.absolute(), content)
    except OSError as error:
        raise SwarmError(Code.REFUSED, f"cannot write {path}", why=error.strerror or "") from None
    for name in sorted(cargo.machines):
        click.echo(name)
