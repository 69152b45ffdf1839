"""Looks at what the steps care for, in two round trips. Changes nothing."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files

from api.errors import Code, SwarmError
from machine import manifest
from machine.packages import ALL
from machine.remote import Remote
from machine.steps import seen

TIMEOUT = 240.0  # of a host with a slow or emulated processor


async def look(remote: Remote, paths: Iterable[str]) -> seen.Seen:
    """What is there now, at these paths and elsewhere."""
    content = await remote.read(manifest.PATH, limit=manifest.MAX_BYTES)
    try:
        told, damage = manifest.decoded(content, remote.name), b""
    except manifest.DamagedError:
        told, damage = manifest.Manifest(), content or b" "
    argv = ["sh", "-s", " ".join(ALL), *paths]
    done = await remote.run(argv, stdin=_script(), timeout=TIMEOUT, limit=seen.MAX_BYTES)
    try:
        return replace(seen.parse(done.out, told), damage=damage)
    except ValueError as error:
        raise SwarmError(
            Code.UNAVAILABLE, f"cannot look at {remote.name}", why=str(error)
        ) from None


@cache
def _script() -> bytes:
    return files("machine.steps").joinpath("seen.sh").read_bytes()
