"""`linux.resources` of a container: limits on memory, CPU, processes, and devices. Pure.

Docker's rules for swap: not said, the container may swap as much as it has memory (the value is
memory and swap together, hence twice the memory); -1, without limit.
"""

from typing import Any

from api.errors import Code, SwarmError, invalid
from api.v1 import specs_pb2
from runtime.host_facts import HostFacts

CPU_PERIOD = 100_000  # microseconds, the kernel's default
_LEAST_QUOTA = 1_000  # the kernel refuses less than a millisecond
_LEAST_MEMORY = 6 << 20  # Docker's: less cannot hold a container's own start
_NANOS = 1_000_000_000
_CHARACTER_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None))
_PERCENT = range(101)


def build(
    spec: specs_pb2.ContainerSpec, resources: specs_pb2.ResourceRequirements, host: HostFacts
) -> dict[str, Any]:
    """The limits; refuses one that this host has no controller for."""
    found: dict[str, Any] = {"devices": _devices()}
    memory = _memory(spec, resources, host)
    if memory:
        _require("memory", "resources.limits.memory_bytes", host)
        found["memory"] = memory
    if resources.limits.nano_cpus:
        _require("cpu", "resources.limits.nano_cpus", host)
        found["cpu"] = _cpu(resources.limits.nano_cpus)
    if resources.pids_limit > 0:
        _require("pids", "resources.pids_limit", host)
        found["pids"] = {"limit": resources.pids_limit}
    return found


def _require(controller: str, field: str, host: HostFacts) -> None:
    if controller not in host.controllers:
        raise SwarmError(
            Code.REFUSED,
            f"this host cannot limit {controller}",
            why=f"the cgroup controller {controller!r} is not mounted",
            field=field,
        )


def _cpu(nano_cpus: int) -> dict[str, int]:
    quota = nano_cpus * CPU_PERIOD // _NANOS
    if quota < _LEAST_QUOTA:
        raise invalid("resources.limits.nano_cpus", "less than 0.01 of a CPU")
    return {"quota": quota, "period": CPU_PERIOD}


def _memory(
    spec: specs_pb2.ContainerSpec, resources: specs_pb2.ResourceRequirements, host: HostFacts
) -> dict[str, int]:
    found: dict[str, int] = {}
    limit, reserved = resources.limits.memory_bytes, resources.reservations.memory_bytes
    if limit:
        if limit < _LEAST_MEMORY:
            raise invalid("resources.limits.memory_bytes", "less than 6 MiB")
        found["limit"] = limit
    if reserved and "memory" in host.controllers:
        found["reservation"] = reserved  # a wish, not a limit: no reason to refuse
    swap = _swap(spec.memory_swap_bytes, limit)
    if swap and host.swap_accounting:
        found["swap"] = swap
    if spec.HasField("memory_swappiness"):
        if spec.memory_swappiness not in _PERCENT:
            raise invalid("container.memory_swappiness", "not between 0 and 100")
        if host.cgroup_version == 1:  # version 2 has no such knob; Docker leaves it out as well
            found["swappiness"] = spec.memory_swappiness
    return found


def _swap(wanted: int, limit: int) -> int:
    """Memory and swap together; 0 where nothing is to be set."""
    field = "container.memory_swap_bytes"
    if wanted < -1:
        raise invalid(field, f"{wanted} is below -1, which means unlimited")
    if wanted == 0:
        return 2 * limit
    if wanted == -1:
        return -1 if limit else 0
    if not limit:
        raise invalid(field, "swap is limited but memory is not", remedy="limit memory too")
    if wanted < limit:
        raise invalid(field, "memory and swap together are below the memory limit")
    return wanted


def _devices() -> list[dict[str, Any]]:
    """Nothing but null, zero, full, random, urandom, tty, console's pts; making nodes is free."""
    rules: list[dict[str, Any]] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
    ]
    for major, minor in _CHARACTER_DEVICES:
        rule = {"allow": True, "type": "c", "major": major, "access": "rwm"}
        rules.append(rule if minor is None else rule | {"minor": minor})
    return rules
