import contextlib

import pytest

from overlay_net import sysctls
from tests.support.wires import Wires, read

pytestmark = pytest.mark.root


def test_a_host_that_forwards_ipv6_still_listens_to_its_routers() -> None:
    net = Wires()
    with contextlib.closing(net):
        target = net.namespace("a")
        net.bridge(target)
        assert read(target, "ipv6/conf/br0/accept_ra") == "1"
        sysctls.apply(
            target, {"ipv6/conf/all/forwarding": "1", "ipv4/conf/no-such-device/rp_filter": "0"}
        )
        assert read(target, "ipv6/conf/all/forwarding") == "1"
        assert read(target, "ipv6/conf/br0/accept_ra") == "2"
        with pytest.raises(OSError, match="no-such-device"):
            sysctls.apply(target, {"ipv4/conf/no-such-device/rp_filter": "1"})
