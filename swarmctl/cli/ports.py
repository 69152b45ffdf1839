"""Published ports as the column PORTS shows them. Pure. The form is Docker's (docker/cli,
service/formatter.go): *:8080->80/tcp, and *:8000-8002->80-82/tcp for neighbours.
"""

from collections.abc import Iterable

from api.v1 import specs_pb2

Port = specs_pb2.PortConfig


def published(ports: Iterable[specs_pb2.PortConfig]) -> str:
    """The ports that every node publishes; those of single hosts are the tasks' own."""
    return _shown(port for port in ports if port.mode == Port.PUBLISH_MODE_INGRESS)


def held(ports: Iterable[specs_pb2.PortConfig]) -> str:
    """Those that a task has of its node."""
    return _shown(port for port in ports if port.published_port)


def _shown(ports: Iterable[specs_pb2.PortConfig]) -> str:
    ordered = sorted(
        ports, key=lambda each: (each.host_ip, each.protocol, each.published_port, each.target_port)
    )
    return ", ".join(map(_text, _runs(ordered)))


def _runs(ports: Iterable[specs_pb2.PortConfig]) -> list[list[specs_pb2.PortConfig]]:
    runs: list[list[specs_pb2.PortConfig]] = []
    for port in ports:
        if runs and _follows(runs[-1][-1], port):
            runs[-1].append(port)
        else:
            runs.append([port])
    return runs


def _follows(before: specs_pb2.PortConfig, port: specs_pb2.PortConfig) -> bool:
    return (
        (port.host_ip, port.protocol) == (before.host_ip, before.protocol)
        and port.published_port == before.published_port + 1
        and port.target_port == before.target_port + 1
    )


def _text(run: list[specs_pb2.PortConfig]) -> str:
    first, last = run[0], run[-1]
    word = Port.Protocol.Name(first.protocol).removeprefix("PROTOCOL_").lower()
    published_ports = _range(first.published_port, last.published_port)
    address = f"[{first.host_ip}]" if ":" in first.host_ip else first.host_ip or "*"
    return f"{address}:{published_ports}->{_range(first.target_port, last.target_port)}/{word}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
