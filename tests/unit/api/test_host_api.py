"""Whose roots these are, found out without reading a certificate."""

import pytest

from api.host_api import is_of_machines, names_asked_for
from machine.certs.authority import new_authority
from tests.support.trust import TrustedCluster

MACHINES = new_authority(1_800_000_000.0).certificate_pem
SWARM = TrustedCluster(1_800_000_000.0).root.certificate_pem
NOISE = b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("roots", "names"),
    [
        (MACHINES, ("10.0.0.1",)),
        (MACHINES + MACHINES, ("10.0.0.1",)),
        (SWARM, ("swarm-manager",)),
        (SWARM + MACHINES, ("10.0.0.1", "swarm-manager")),
        (b"", ("swarm-manager",)),
        (NOISE, ("swarm-manager",)),
        (b"swarm-machines", ("swarm-manager",)),
    ],
)
def test_the_name_that_is_asked_for(roots: bytes, names: tuple[str, ...]) -> None:
    assert names_asked_for(roots, "10.0.0.1", "swarm-manager") == names
    assert is_of_machines(roots) == ("10.0.0.1" in names)
