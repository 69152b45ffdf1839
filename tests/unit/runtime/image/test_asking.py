"""A node that asks no registry does without what speaks to them."""

import subprocess
import sys

SCRIPT = """
import asyncio, sys
import swarmctl.daemon
from runtime.image import asking
from runtime.image.endpoint import RegistryOptions
from runtime.image.reference import parse

print("httpx" in sys.modules)

async def ask():
    options = RegistryOptions()
    return await asking.registry(parse("localhost/web"), options, None, lambda: 0.0)

print(type(asyncio.run(ask())).__name__, "httpx" in sys.modules)
"""


def test_what_speaks_to_registries_is_brought_in_when_one_is_asked() -> None:
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "Registry", "True"]
