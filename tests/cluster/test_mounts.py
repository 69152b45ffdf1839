"""Mounts that are more than a folder of the host as it is: images, and folders without what is
mounted below them.
"""

from collections.abc import Iterator

import pytest

from tests.support.cluster import TOOLS, Swarm

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _nothing_stays_mounted(swarm: Swarm) -> Iterator[None]:
    """What was mounted for a container does not outlive it."""
    yield
    swarm.clear()

    def left() -> str:
        look = ("sh", "-c", "grep '/run/b/' /proc/mounts || true")
        return "".join(swarm.inside(host, *look).out for host in swarm.hosts())

    swarm.until(lambda: not left(), "no mount is left")


def test_an_image_is_mounted_in_tasks(swarm: Swarm) -> None:
    whole = f"type=image,source={TOOLS},target=/i"
    part = f"type=image,source={TOOLS},target=/sh,image-subpath=bin/busybox"
    script = "cmp /i/bin/busybox /sh && ! touch /i/x 2>/dev/null && echo same; exec sleep 1000"
    swarm.create("web", "--mount", whole, "--mount", part, TOOLS, "sh", "-c", script, replicas=2)
    swarm.until(lambda: swarm.logs("web") == ["same", "same"], "both say so")


def test_a_folder_is_bound_without_what_is_mounted_below_it(swarm: Swarm) -> None:
    """A host has /proc mounted below /."""
    for name, how, seen in (("all", "enabled", "some"), ("top", "disabled", "none")):
        mount = f"type=bind,source=/,target=/host,readonly,bind-recursive={how}"
        script = "[ -e /host/proc/1 ] && echo some || echo none; exec sleep 1000"
        swarm.create(name, "--mount", mount, TOOLS, "sh", "-c", script)
        swarm.until(lambda n=name, s=seen: swarm.logs(n) == [s], f"{name} sees {seen}")  # type: ignore[misc]
