"""Asks registries for managers, which know none themselves: what an image's name means just now.

In threads of its own, each with an event loop of its own: a name server that does not answer holds
a thread for half a minute, and those of the daemon have a log to write.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from api.v1 import specs_pb2, types_pb2
from hostkit.clock import Clock
from runtime.image import asking
from runtime.image.auth import Credentials, parse_registry_auth
from runtime.image.endpoint import RegistryOptions
from runtime.image.identify import Identity, identify
from runtime.image.reference import Reference, parse

_AT_ONCE = 4
"""Questions under way; more wait, and their callers not for long (manager/control/images.py)."""
_LONGEST = 10.0
"""Seconds after which a question is given up that nobody waits for any more."""
_RETRY_DELAY = 0.05
"""Seconds: somebody waits for the answer, and can do without it."""


class Pinning:
    """Of one host: with its list of insecure registries and its CAs."""

    def __init__(self, options: RegistryOptions, clock: Clock) -> None:
        self._options = replace(options, retry_delay=_RETRY_DELAY)
        self._clock = clock
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pinning")

    async def ask(self, image: str, registry_auth: str) -> specs_pb2.PinnedImage:
        """The image with its digest and its platforms; SwarmError if the registry does not tell."""
        name, user = parse(image), parse_registry_auth(registry_auth)
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: asyncio.run(self._identify(name, user))
        )
        return specs_pb2.PinnedImage(
            reference=found.reference,
            platforms=[
                types_pb2.Platform(os=each.os, architecture=each.architecture)
                for each in found.platforms
            ],
        )

    def close(self) -> None:
        """Asks nobody any more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _identify(self, name: Reference, user: Credentials | None) -> Identity:
        async with asyncio.timeout(_LONGEST):
            registry = await asking.registry(name, self._options, user, self._clock)
            async with registry:
                return await identify(registry, name)
