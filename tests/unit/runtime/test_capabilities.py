"""cap_add and cap_drop by Docker's rules."""

import pytest

from runtime.capabilities import DEFAULT, NAMES, from_mask, resolve

EVERY = frozenset(NAMES)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT),
        (["NET_ADMIN"], [], DEFAULT | {"CAP_NET_ADMIN"}),
        (["cap_net_admin"], ["Chown"], (DEFAULT | {"CAP_NET_ADMIN"}) - {"CAP_CHOWN"}),
        ([], ["ALL"], frozenset()),
        (["CHOWN"], ["ALL"], {"CAP_CHOWN"}),
        (["ALL"], [], EVERY),
        (["all"], ["SYS_ADMIN"], EVERY - {"CAP_SYS_ADMIN"}),
        (["CHOWN"], ["CHOWN"], DEFAULT - {"CAP_CHOWN"}),
    ],
)
def test_resolve(add: list[str], drop: list[str], expected: frozenset[str]) -> None:
    assert resolve(add, drop, EVERY) == sorted(expected)


def test_defaults_shrink_to_what_the_host_has() -> None:
    assert resolve([], [], frozenset(("CAP_CHOWN",))) == ["CAP_CHOWN"]
    assert resolve(["ALL"], [], frozenset(("CAP_CHOWN",))) == ["CAP_CHOWN"]


def test_masks() -> None:
    assert from_mask(0b101) == {"CAP_CHOWN", "CAP_DAC_READ_SEARCH"}
    assert from_mask(0x1FFFFFFFFFF) == EVERY
    assert from_mask(0xA80425FB) == DEFAULT
