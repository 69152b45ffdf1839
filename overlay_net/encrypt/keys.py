"""A node's WireGuard keys, and when another one takes their place. Pure.

The private key is in no representation, no log and no message: it leaves for the device alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

EARLIER = 0.1
"""Up to this part of its age a key is replaced earlier, so that nodes do not do it all at once."""

Random = Callable[[int], bytes]
"""So many bytes that nobody can guess."""


@dataclass(frozen=True)
class KeyPair:
    """Curve25519: 32 bytes each."""

    public: bytes
    private: bytes = field(repr=False)


def key_pair(private: bytes) -> KeyPair:
    """The pair of a private key of 32 bytes; ValueError if it has another length."""
    public = X25519PrivateKey.from_private_bytes(private).public_key()
    return KeyPair(public.public_bytes_raw(), private)


@dataclass(frozen=True)
class Keys:
    """What a node has.

    `current`: the one that its device uses; `coming`: the one that it tells the managers instead,
    and uses from the moment on in which they tell it back, as they tell all others then.
    """

    current: KeyPair
    made_at: float  # wall seconds; of the newest
    chance: float  # from 0 to 1, of the newest
    coming: KeyPair | None = None
    round: int = 0
    """That which an operator asked for last: he too may want another key."""

    @property
    def published(self) -> bytes:
        """The public key that the managers are to tell."""
        return (self.coming or self.current).public

    def is_due(self, now: float, age: float, round: int = 0) -> bool:
        """Whether another key is to be made: by its age, or as it is of an earlier round; not while
        one is coming.

        A key that seems to be of the future was made under a wrong clock, and is due too.
        """
        until = self.made_at + age * (1 - EARLIER * self.chance)
        is_old = self.round < round or not self.made_at - age <= now < until
        return self.coming is None and is_old

    def with_coming(self, fresh: "Keys", round: int = 0) -> "Keys":
        """With another key, which was made just now, to come; `round`: for which it was made."""
        rounds = max(self.round, round)
        return replace(fresh, current=self.current, coming=fresh.current, round=rounds)

    def heard(self, told: bytes) -> "Keys":
        """The managers tell everybody this public key of the node."""
        if self.coming is not None and told == self.coming.public:
            return replace(self, current=self.coming, coming=None)
        return self


def fresh(random: Random, now: float, chance: float) -> Keys:
    """A new key alone."""
    return Keys(key_pair(random(32)), now, chance)
