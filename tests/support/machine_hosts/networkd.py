"""systemd-networkd on a bare host, as on cloud images and Ubuntu's servers: when it starts it takes
away the routes and rules of others, unless it is told to leave them.
"""

from tests.support.machine_hosts.host import MachineHost

_SERVICE = "systemd-networkd.service"
_RULE = "12345:\tfrom all lookup 4096"
_ROUTE = "unreachable fd53:7761:726d::/48"


def run_networkd(host: MachineHost) -> None:
    """Lets it look after the host's link, with the address that is there."""
    wanted = f"[Match]\nName=eth0\n[Network]\nAddress={host.address}/24\n"
    host.run(["mkdir", "-p", "/etc/systemd/network"])
    host.run(["tee", "/etc/systemd/network/eth0.network"], given=wanted.encode())
    host.run(["rm", "-f", f"/etc/systemd/system/{_SERVICE}"])  # masked in the tree of all hosts
    host.run(["systemctl", "daemon-reload"])
    _start(host)


def leaves_routes(host: MachineHost) -> bool:
    """Whether a rule and a route of others, as a node has them, outlive its start."""
    host.run(["ip", "rule", "add", "lookup", "4096", "priority", "12345"])
    host.run(["ip", "-6", "route", "add", *_ROUTE.split()])
    _start(host)
    left = _RULE in host.run(["ip", "rule"]), _ROUTE in host.run(["ip", "-6", "route"])
    host.run(["ip", "rule", "del", "lookup", "4096"], check=False)
    host.run(["ip", "-6", "route", "del", *_ROUTE.split()], check=False)
    assert left in ((True, True), (False, False)), left
    return all(left)


def _start(host: MachineHost) -> None:
    host.run(["systemctl", "restart", _SERVICE])
    online = "/lib/systemd/systemd-networkd-wait-online"
    host.run([online, "--interface=eth0", "--timeout=30"])
