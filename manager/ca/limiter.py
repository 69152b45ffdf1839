"""How often one address may ask for a certificate, and all together. Pure; time is an argument.

Guessing a secret of 128 bits is hopeless at any rate. What the limit prevents is that a stranger
keeps the managers busy, or that a leaked token fills the store with nodes faster than anyone looks.
"""

import ipaddress
from collections import OrderedDict
from urllib.parse import unquote


class Bucket:
    """Admits `burst` calls at once, then `rate` a second. `now`: monotonic seconds."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """0.0 if the call is admitted, and counted; else seconds until one will be."""
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class RateLimiter:
    """A bucket for each address."""

    def __init__(self, *, rate: float = 2.0, burst: int = 40, addresses: int = 4096) -> None:
        self._rate = rate
        self._burst = burst
        self._addresses = addresses
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """As Bucket.wait. Of too many addresses the one that was quiet longest is forgotten."""
        fresh = Bucket(rate=self._rate, burst=self._burst)
        bucket = self._buckets[address] = self._buckets.pop(address, fresh)
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)
        return bucket.wait(now)


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
