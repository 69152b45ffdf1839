"""What asks registries, brought in when the first one is asked; decides nothing.

With the library that speaks HTTP it is 8 MiB and a tenth of a second. A node that asks none does
without, and one that starts again serves so much sooner. A thread brings it in: the event loop has
other things to do.
"""

import asyncio
import importlib
from typing import TYPE_CHECKING

from hostkit.clock import Clock
from runtime.image.auth import Credentials
from runtime.image.endpoint import RegistryOptions
from runtime.image.reference import Reference

if TYPE_CHECKING:
    from runtime.image.registry import Registry


async def registry(
    name: Reference, options: RegistryOptions, credentials: Credentials | None, clock: Clock
) -> "Registry":
    """See runtime.image.registry."""
    await asyncio.to_thread(importlib.import_module, "runtime.image.registry")
    from runtime.image.registry import Registry  # noqa: PLC0415 - see above

    return Registry(name, options, credentials=credentials, clock=clock)


async def check_login(
    domain: str, user: Credentials, options: RegistryOptions, clock: Clock
) -> None:
    """See runtime.image.login."""
    await asyncio.to_thread(importlib.import_module, "runtime.image.login")
    from runtime.image import login  # noqa: PLC0415 - see above

    await login.check_login(domain, user, options, clock)
