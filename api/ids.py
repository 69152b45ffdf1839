"""Ids of objects: 25 characters of base 36 that begin with a random letter or digit, as Swarm's do.

Holds the format alone; fresh ones are made in api/new_ids.py, and cores take an `IdSource`.
"""

import re
from collections.abc import Callable

IdSource = Callable[[], str]

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
LENGTH = 25
_PATTERN = re.compile(rf"[0-9a-z]{{{LENGTH}}}")


def is_id(text: str) -> bool:
    """Whether `text` has the form of a full id."""
    return _PATTERN.fullmatch(text) is not None


def base36(number: int, width: int) -> str:
    """The number in base 36, with leading zeros up to `width` characters."""
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits)).rjust(width, "0")
