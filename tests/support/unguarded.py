"""A lock on hosts that nobody else wants."""


async def unguarded(host: str) -> None:
    """Whether the host may be acted on: it may."""
