"""Which Debian the bare hosts of tests are of."""

import pytest

from tests.support.machine_hosts.suite import BOOKWORM, TRIXIE, Suite, chosen


@pytest.mark.parametrize(
    ("environment", "suite"),
    [({}, BOOKWORM), ({"SUITE": ""}, BOOKWORM), ({"SUITE": "trixie"}, TRIXIE)],
)
def test_the_environment_chooses(environment: dict[str, str], suite: Suite) -> None:
    assert chosen(environment) is suite


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="SUITE=sid: hosts are of bookworm or trixie"):
        chosen({"SUITE": "sid"})


def test_packages_come_from_both_mirrors() -> None:
    assert TRIXIE.sources("http://m/debian", "http://m/security").splitlines() == [
        "deb http://m/debian trixie main",
        "deb http://m/debian trixie-updates main",
        "deb http://m/security trixie-security main",
    ]
