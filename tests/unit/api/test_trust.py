"""What a node does about the roots that it is told of."""

import pytest

from api.identity import Credentials
from api.trust import Wish, first_of, wish
from tests.support.trust import TrustedCluster

MINE, OTHER = TrustedCluster(), TrustedCluster()
NODE = MINE.credentials("worker", "n1")
OWN, NEW = MINE.root.certificate_pem, OTHER.root.certificate_pem


@pytest.mark.parametrize(
    ("roots", "trusted", "wished"),
    [
        (OWN, OWN, Wish.NOTHING),
        (NEW + OWN, OWN, Wish.RENEW),  # a rotation begins
        (OWN, OWN + NEW, Wish.TRUST),  # one has ended
        (OWN + NEW, OWN, Wish.TRUST),
        (OWN + NEW, NEW + OWN, Wish.NOTHING),
        (NEW, OWN, Wish.RENEW),
        (b"", OWN, Wish.NOTHING),  # of a manager that does not know the state
        (b"junk", OWN, Wish.NOTHING),
    ],
)
def test_what_a_node_does(roots: bytes, trusted: bytes, wished: Wish) -> None:
    present = Credentials(NODE.key_pem, NODE.certificate_pem, trusted)
    assert wish(present, roots) is wished


def test_the_first_of_several() -> None:
    assert first_of(NEW + OWN).strip() == NEW.strip()
