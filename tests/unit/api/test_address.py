import pytest

from api.address import identity_address, join_address, split_address
from api.errors import Code, SwarmError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", 2377)),
        ("10.0.0.1:4000", ("10.0.0.1", 4000)),
        (" manager-1:2377 ", ("manager-1", 2377)),
        ("[fd00::1]:2377", ("fd00::1", 2377)),
        ("[fd00::1]", ("fd00::1", 2377)),
        ("fd00::1", ("fd00::1", 2377)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("m1.example.", ("m1.example.", 2377)),
        ("münchen_1:2377", ("münchen_1", 2377)),
    ],
)
def test_addresses_are_split_and_joined_again(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected
    assert split_address(join_address(*expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *["", "h h", ":2377", "h:0", "h:65536", "h:x", "h:²", "a:b:c"],
        *["10.0..0.1", ".", "m1..", "m." + "x" * 64, "ü" * 64, "caf\udce9:2377"],
        *["[fd00::1", "[::1]x", "[]:1", "http://h", "user@h"],
    ],
)
def test_anything_else_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(SwarmError) as caught:
        split_address(text, field="managers[0]")
    assert caught.value.code is Code.INVALID
    assert caught.value.field == "managers[0]"
    assert caught.value.remedy


def test_the_identity_port_is_the_next_one() -> None:
    assert identity_address("10.0.0.1") == "10.0.0.1:2378"
    assert identity_address("[fd00::1]:4000") == "[fd00::1]:4001"
    with pytest.raises(SwarmError):
        identity_address("h:65535")
