"""How often one address may ask for a certificate: a token bucket each. Pure; time is an argument.

Guessing a secret of 128 bits is hopeless at any rate. What the limit prevents is that a stranger
keeps the managers busy, or that a leaked token fills the store with nodes faster than anyone looks.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimiter:
    """Admits `burst` calls at once from an address, then `rate` a second."""

    def __init__(self, *, rate: float = 2.0, burst: int = 40, addresses: int = 4096) -> None:
        self._rate = rate
        self._burst = burst
        self._addresses = addresses
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """0.0 if the call is admitted, and counted; else seconds until one will be.

        `now`: monotonic seconds. Of too many addresses the one that was quiet longest is forgotten.
        """
        bucket = self._buckets.pop(address, None) or _Bucket(self._burst, now)
        self._buckets[address] = bucket
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)
        elapsed = max(0.0, now - bucket.at)
        bucket.tokens = min(self._burst, bucket.tokens + elapsed * self._rate)
        bucket.at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0


def address_of_peer(peer: str) -> str:
    """The address in what gRPC calls a peer: `ipv4:10.0.0.9:4711`, `ipv6:%5Bfd00::1%5D:4711`.

    Of IPv6 the first 64 bits: one host has the rest of them to itself.
    """
    family, _, rest = peer.partition(":")
    host = unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    if family != "ipv6":
        return host or peer
    try:
        return str(ipaddress.ip_network((host, 64), strict=False))
    except ValueError:
        return peer
