"""Networks, services and endpoints as a node is told of them, made of few words."""

from collections.abc import Sequence

from api.v1 import network_pb2, specs_pb2

VIP = specs_pb2.EndpointSpec.MODE_VIP
DNSRR = specs_pb2.EndpointSpec.MODE_DNSRR
TCP = specs_pb2.PortConfig.PROTOCOL_TCP


def network(
    name: str, subnet: str = "10.0.1.0/24", *, internal: bool = False, ingress: bool = False
) -> network_pb2.NodeNetwork:
    pools = [specs_pb2.IpamConfig(subnet=subnet)]
    return network_pb2.NodeNetwork(
        id=f"id-{name}", name=name, pools=pools, internal=internal, ingress=ingress
    )


def service(
    of: str,
    name: str,
    virtual_ips: Sequence[str] = (),
    *,
    dnsrr: bool = False,
    aliases: Sequence[str] = (),
    ports: Sequence[tuple[int, int]] = (),
) -> network_pb2.NetworkService:
    """`ports`: published and target, TCP."""
    return network_pb2.NetworkService(
        network_id=f"id-{of}",
        service_id=f"id-{name}",
        name=name,
        mode=DNSRR if dnsrr else VIP,
        virtual_ips=virtual_ips,
        aliases=aliases,
        ports=[
            specs_pb2.PortConfig(protocol=TCP, published_port=outer, target_port=inner)
            for outer, inner in ports
        ],
    )


def endpoint(
    of: str,
    name: str,
    *addresses: str,
    service: str = "",
    serving: bool = True,
    aliases: Sequence[str] = (),
    hostname: str = "",
) -> network_pb2.NetworkEndpoint:
    return network_pb2.NetworkEndpoint(
        network_id=f"id-{of}",
        task_id=f"id-{name}",
        name=name,
        service_id=f"id-{service}" if service else "",
        addresses=addresses,
        aliases=aliases,
        serving=serving,
        hostname=hostname,
    )
