"""Fresh ids for shells. A core takes an `IdSource` instead, so that it has no chance in it."""

import secrets

from api.ids import LENGTH, base36


def new_id() -> str:
    """A fresh id of 128 random bits."""
    return base36(secrets.randbits(128), LENGTH)
