"""Whether a registry knows a user. Asks for nothing else, and keeps nothing."""

from api.errors import Code, SwarmError
from hostkit.clock import Clock
from runtime.image import endpoint
from runtime.image.auth import Credentials
from runtime.image.endpoint import RegistryOptions
from runtime.image.transport import Call, Transport

_REFUSED = frozenset({Code.UNAUTHENTICATED, Code.DENIED})


async def check_login(
    domain: str, user: Credentials, options: RegistryOptions, clock: Clock
) -> None:
    """UNAUTHENTICATED if the registry refuses the user; other errors if it cannot be asked."""
    what = f"registry {domain}"
    transport = Transport(
        endpoint.resolve(domain, options),
        credentials=user,
        clock=clock,
        retry_delay=options.retry_delay,
    )
    try:
        async with transport, transport.send(Call("GET", "/v2/", "", what)) as response:
            if not response.is_success:
                raise await transport.fail(response, what)
    except SwarmError as error:
        if error.code not in _REFUSED:
            raise
        raise SwarmError(
            Code.UNAUTHENTICATED,
            f"registry {domain} refuses this login",
            remedy="check the user name and the password",
        ) from error
