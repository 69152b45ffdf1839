"""The text protocol of WireGuard in user space (wireguard.com/xplatform), both ways. Pure."""

import ipaddress
from collections.abc import Iterator

from api.errors import Code, SwarmError
from overlay_net.encrypt.driver import KEEPALIVE, Change, Configured, PeerRead
from overlay_net.encrypt.keys import key_pair
from overlay_net.encrypt.picture import Endpoint

GET = b"get=1\n\n"


def question(change: Change) -> bytes:
    """The request that sets this; it holds the private key."""
    lines = ["set=1"]
    if change.own is not None:
        lines.append(f"private_key={change.own.private.hex()}")
    if change.port is not None:
        lines.append(f"listen_port={change.port}")
    for peer in change.put:
        lines += [
            f"public_key={peer.key.hex()}",
            f"endpoint={_shown(peer.endpoint)}",
            f"persistent_keepalive_interval={KEEPALIVE}",
            "replace_allowed_ips=true",
            f"allowed_ip={peer.address}/128",
        ]
    for key in change.drop:
        lines += [f"public_key={key.hex()}", "remove=true"]
    for key in change.wake:
        # What goes from none to some is sent at once, and what is sent needs a session.
        for seconds in (0, KEEPALIVE):
            lines += [f"public_key={key.hex()}", "update_only=true"]
            lines.append(f"persistent_keepalive_interval={seconds}")
    return "".join(f"{line}\n" for line in (*lines, "")).encode()


def check(answer: bytes) -> None:
    """INTERNAL if the answer to a request is a refusal."""
    number = dict(_pairs(answer)).get("errno", "")
    if number != "0":
        raise SwarmError(
            Code.INTERNAL, "wireguard-go refuses a change", why=f"errno {number or 'missing'}"
        )


def configured(answer: bytes) -> Configured | None:
    """What the answer to GET tells; None of a device without a key. SwarmError as of `check`."""
    check(answer)
    own, port, peers = b"", 0, []
    for word, value in _pairs(answer):
        match word:
            case "private_key":
                own = key_pair(bytes.fromhex(value)).public
            case "listen_port":
                port = int(value)
            case "public_key":
                peers.append(PeerRead(bytes.fromhex(value)))
            case "endpoint":
                peers[-1].endpoint = _endpoint(value)
            case "allowed_ip":
                peers[-1].allowed.append(value)
    if not own:
        return None
    return Configured(own, port, {each.key: each.peer() for each in peers})


def _pairs(answer: bytes) -> Iterator[tuple[str, str]]:
    for line in answer.decode("ascii", "replace").splitlines():
        word, equals, value = line.partition("=")
        if equals:
            yield word, value


def _shown(endpoint: Endpoint) -> str:
    address, port = endpoint
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return str(ipaddress.ip_address(address.strip("[]"))), int(port)
