"""`swarmctl machine export` and `import`: machines in one encrypted file."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import click

from api.backup_key import SALT_BYTES
from api.errors import Code, SwarmError, invalid
from machine.moving import age
from machine.moving.cargo import Cargo, decoded, encoded
from machine.moving.moving import exported, movable, take_in
from machine.moving.sealed import LIMIT, NONCE_BYTES, opened, sealed
from machine.store import files
from machine.store.store import Store
from swarmctl.cli.commands.machine.names import machine_names
from swarmctl.cli.grammar import Verb
from swarmctl.cli.passphrase import ask

to_option = click.option(
    "--to",
    "keys",
    multiple=True,
    metavar="KEY|FILE",
    help="Seal it for a public key of ssh (ed25519, rsa) or age, by the program age; repeatable",
)
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
@to_option
@passphrase_option
def export(
    names: tuple[str, ...],
    output: Path,
    authority: bool,
    keys: tuple[str, ...],
    passphrase_file: Path | None,
) -> None:
    """Write machines, by default all, with their keys into an encrypted file.

    Under a passphrase, or with --to for whoever has the private key.
    """
    store = Store.open()
    chosen = names or movable(store)
    if not chosen:
        raise SwarmError(Code.NOT_FOUND, "there are no machines to export")
    seal = Seal(keys, passphrase_file)
    write(output, seal, lambda: exported(store, chosen, authority=authority))


@click.command("import", cls=Verb)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--identity",
    "own_keys",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Private key that it was sealed for [~/.ssh/id_ed25519, id_rsa]; repeatable",
)
@passphrase_option
def import_(file: Path, own_keys: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Put machines of a file into the store; the file says whether a key or a passphrase opens it.

    Without --identity your keys of ~/.ssh are tried.
    """
    try:
        with file.open("rb") as opening:
            data = opening.read(LIMIT + 1)
    except OSError as error:
        raise SwarmError(Code.REFUSED, f"cannot read {file}", why=error.strerror or "") from None
    if len(data) > LIMIT:
        raise SwarmError(Code.EXHAUSTED, f"{file} is too long", why=f"the limit is {LIMIT} bytes")
    cargo = decoded(_opened(data, own_keys, passphrase_file))
    click.echo(f"From {cargo.sender}", err=True)
    for name in take_in(Store.open(), cargo):
        click.echo(name)


def _opened(data: bytes, own_keys: tuple[Path, ...], passphrase_file: Path | None) -> bytes:
    if data.startswith(age.MAGIC):
        return asyncio.run(age.opened(data, age.identities(own_keys, Path.home())))
    if own_keys:
        raise invalid("identity", "the file is opened by a passphrase", remedy="leave the key out")
    return opened(data, ask(passphrase_file))


class Seal:
    """How a file is to be closed, as flags say it: for public keys, or under a passphrase.

    What is wrong with that is found before anything is packed.
    """

    def __init__(self, keys: tuple[str, ...], passphrase_file: Path | None) -> None:
        if keys and passphrase_file:
            raise invalid(
                "to", "--to and --passphrase-file exclude each other", remedy="give one of them"
            )
        self._recipients = age.recipients(keys)
        self._file = passphrase_file
        self._passphrase = ""

    def prepare(self) -> None:
        """Asks for the passphrase, or tries the keys: what is packed later is made for somebody."""
        if self._recipients:
            asyncio.run(age.sealed(b"", self._recipients))
        else:
            self._passphrase = ask(self._file, twice=True)

    def close(self, content: bytes) -> bytes:
        """The sealed file."""
        if self._recipients:
            return asyncio.run(age.sealed(content, self._recipients))
        salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
        return sealed(content, self._passphrase, salt, nonce)


def write(path: Path, seal: Seal, pack: Callable[[], Cargo]) -> None:
    """Writes a sealed file, and prints the names of what is in it. Replaces none."""
    if path.exists():
        raise invalid("output", f"{path} is there already", remedy="choose another name")
    seal.prepare()
    cargo = pack()
    content = seal.close(encoded(cargo))
    try:
        files.replace(path.absolute(), content)
    except OSError as error:
        raise SwarmError(Code.REFUSED, f"cannot write {path}", why=error.strerror or "") from None
    for name in sorted(cargo.machines):
        click.echo(name)
