"""Which unlock key a cluster has: one while its spec locks managers, none otherwise. Pure.

The form of a key is in api/unlock_key.py; that managers obey it is manager/locking.py's.
"""

from collections.abc import Callable

from api.errors import Code, SwarmError
from api.unlock_key import KEY_BYTES
from api.v1 import objects_pb2


def settle(
    cluster: objects_pb2.Cluster, secret: Callable[[int], bytes], *, rotate: bool = False
) -> None:
    """Makes the unlock key of `cluster` what its spec asks for; the present one stays if it can.

    `secret(n)` gives n random bytes; `rotate` replaces the key, REFUSED where there is to be none.
    """
    if not cluster.spec.autolock:
        if rotate:
            raise SwarmError(
                Code.REFUSED,
                "the unlock key cannot be rotated",
                why="managers are not locked, so there is none",
                remedy="lock them: swarmctl swarm update --autolock",
            )
        cluster.ClearField("unlock_key")
    elif rotate or not cluster.unlock_key:
        cluster.unlock_key = secret(KEY_BYTES)
