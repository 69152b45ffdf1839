"""Reads the body of an answer, and never more of it than was agreed."""

import httpx

from api.errors import Code, SwarmError


async def read_limited(response: httpx.Response, limit: int, *, truncate: bool = False) -> bytes:
    """The body as it was sent, of at most `limit` bytes; a longer one is cut or refused."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            if truncate:
                return bytes(body[:limit])
            raise SwarmError(
                Code.REFUSED,
                f"the answer of {response.url.host} is too large",
                why=f"more than {limit} bytes",
            )
    return bytes(body)
