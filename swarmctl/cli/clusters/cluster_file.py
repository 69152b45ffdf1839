"""The cluster file that a command names, read and checked."""

from dataclasses import fields
from pathlib import Path

from api.errors import Code, SwarmError
from machine.swarm.reader import read
from machine.swarm.wanted import SwarmWanted
from machine.swarm.yaml_text import LIMIT
from swarmctl.settings import Settings


def load(path: Path) -> SwarmWanted:
    """What the file wants. INVALID with every mistake in it, REFUSED if it cannot be read."""
    try:
        with path.open(encoding="utf-8") as opened:
            text = opened.read(LIMIT + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SwarmError(Code.REFUSED, f"cannot read {path}", why=why or "") from error
    settings = [each.name for each in fields(Settings)]
    return read(text, name=path.name, folder=path.absolute().parent, settings=settings)
