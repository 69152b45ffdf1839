"""Images whose names move, registries that are away or ask who calls, and placeholders."""

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine.drivers.lab import naming, registry
from tests.support.cluster import OBEDIENT, TOOLS, Swarm, a_swarm
from tests.support.living_files import contents

pytestmark = pytest.mark.cluster

REPOSITORY = "registry:5000/demo/web"
LOGIN = ("ann", "old-s3cret")
FRESH_LOGIN = ("ann", "new-s3cret")

# bcrypt, as htpasswd -B makes it.
HASHES = {
    "old-s3cret": "$2b$05$abcdefghijklmnopqrstuuGxyzKjLhzYZIYXQa4ND23ofTo7.xMGi",
    "new-s3cret": "$2b$05$abcdefghijklmnopqrstuu6MivlCje14u9kSWDIH2SVOl9BnukwG.",
}

# In the registry's host: gives what has one tag another one. With a note it becomes another image
# of the same layers, which no host has yet.
_TAG = """\
import json, sys, urllib.request
source, target, note = sys.argv[1:]
base = "http://registry:5000/v2/demo/web/manifests/"
kind = "application/vnd.oci.image.index.v1+json,application/vnd.oci.image.manifest.v1+json"
found = urllib.request.urlopen(urllib.request.Request(base + source, headers={"Accept": kind}))
body = found.read()
if note:
    body = json.dumps({**json.loads(body), "annotations": {"note": note}}).encode()
headers = {"Content-Type": found.headers["Content-Type"]}
urllib.request.urlopen(urllib.request.Request(base + target, body, headers, method="PUT"))
"""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with a_swarm(tmp_path_factory.mktemp("config")) as made:
        yield made


def test_all_nodes_run_what_the_name_meant_until_it_is_given_anew(swarm: Swarm) -> None:
    moving = f"{REPOSITORY}:moving"
    tag(swarm, "1", "moving")
    swarm.create("web", moving)
    tag(swarm, "2", "moving")
    swarm.ctl("service", "scale", "--detach", "web=3")
    swarm.until_runs("web", 3)
    swarm.ctl("service", "update", "--detach", "--force", "web")
    swarm.until(lambda: len(swarm.tasks("web")) == 6, "every task is replaced")
    swarm.until_runs("web", 3)
    assert versions(swarm) == ["1", "1", "1"]
    assert swarm.ctl("service", "ps", "--format", "{{.Image}}", "web").lines[0] == moving
    assert swarm.ctl("service", "ls", "--format", "{{.Image}}").lines == [moving]
    [first] = {task.image for task in swarm.tasks("web")}
    assert first.startswith(f"{moving}@sha256:")
    assert pin_of(swarm) == first

    swarm.ctl("service", "update", "--detach", "--image", moving, "web")
    swarm.until(lambda: versions(swarm) == ["2", "2", "2"], "every task is the new image")
    assert pin_of(swarm) != first


def test_without_its_registry_a_service_runs_what_is_there(swarm: Swarm) -> None:
    command = (TOOLS, "sh", "-c", OBEDIENT)
    swarm.create("tagged", "--no-resolve-image", *command, replicas=3)
    swarm.create("pinned", *command, replicas=3)
    swarm.lab("daemon", "registry", "kill")
    try:
        made = swarm.ctl("service", "create", "--detach", "--name", "web", *command)
        assert "could not be accessed on a registry to record its digest" in made.err
        swarm.until_runs("web", 1)
        assert pin_of(swarm) == ""
        swarm.ctl("service", "update", "--detach", "--force", "pinned")
        swarm.until(lambda: len(swarm.tasks("pinned")) == 6, "every task is replaced")
        swarm.until_runs("pinned", 3)
        kept = swarm.ctl("service", "update", "--detach", "--image", TOOLS, "pinned")
        assert f"so it stays {TOOLS}@sha256:" in kept.err
    finally:
        start_registry(swarm)


def test_credentials_reach_the_nodes_that_need_them_and_no_disk(
    swarm: Swarm, tmp_path: Path
) -> None:
    private = f"{REPOSITORY}:private"
    tag(swarm, "1", "private", note="private")
    with_passwords(swarm, *LOGIN)
    try:
        refused = swarm.ctl("service", "create", "--detach", "--name", "nobody", private)
        assert "record its digest" in refused.err
        swarm.until(
            lambda: any(task.state == "Rejected" for task in swarm.tasks("nobody")),
            "nobody gets it without a login",
        )
        swarm.ctl("service", "rm", "nobody")

        log_in(swarm, tmp_path, *LOGIN)
        swarm.create("web", "--with-registry-auth", private)
        assert "@sha256:" in pin_of(swarm)
        first = swarm.on("web")

        with_passwords(swarm, *FRESH_LOGIN)
        log_in(swarm, tmp_path, *FRESH_LOGIN)
        swarm.ctl("service", "update", "--detach", "--with-registry-auth", "web")
        swarm.ctl("service", "scale", "--detach", "web=3")
        swarm.until_runs("web", 3)
        assert set(first) < set(swarm.on("web")), "new credentials restart nothing"
        for words in (("inspect", "web"), ("ls", "--format", "json")):
            assert "auth" not in swarm.ctl("service", *words).out.lower()
        for host in swarm.hosts():
            assert secrets_on(swarm, host) == []
    finally:
        swarm.environment.pop("DOCKER_CONFIG", None)
        with_passwords(swarm)


def test_placeholders_mean_something_else_in_each_task(swarm: Swarm) -> None:
    script = f'echo "$(hostname) $WHERE"; {OBEDIENT}'
    flags = ("--hostname", "{{.Service.Name}}-{{.Task.Slot}}", "--env", "WHERE={{.Node.Hostname}}")
    swarm.create("web", *flags, TOOLS, "sh", "-c", script, replicas=3)
    expected = {f"{task.name.replace('.', '-')} {task.node}" for task in swarm.tasks("web")}
    assert len(expected) == 3
    swarm.until(lambda: set(swarm.logs("web")) == expected, "each task says who it is")
    wrong = ("--env", "A={{.Service.Labels.none}}", TOOLS)
    refused = swarm.ctl("service", "create", "--name", "other", *wrong, code=1)
    assert "task.container.env[0]" in refused.err
    assert "there is no none" in refused.err


def tag(swarm: Swarm, source: str, target: str, note: str = "") -> None:
    swarm.inside(naming.REGISTRY, sys.executable, "-c", _TAG, source, target, note)


def versions(swarm: Swarm) -> list[str]:
    """What the running containers of web have in the file that names their image's version."""
    found = []
    for each in swarm.on("web"):
        try:
            found.append(Path(f"/proc/{each.pid}/root/etc/version").read_text().strip())
        except OSError:  # it ended meanwhile
            found.append("gone")
    return found


def pin_of(swarm: Swarm) -> str:
    """The reference that web's image is pinned to."""
    [found] = json.loads(swarm.ctl("service", "inspect", "web").out)
    container = found["Spec"]["Task"]["Container"]
    return str(container.get("PinnedImage", {}).get("Reference", ""))


def with_passwords(swarm: Swarm, *login: str) -> None:
    """Restarts the registry, which asks for this user from then on; none: for nobody."""
    host = swarm.host(naming.REGISTRY)
    registry.configure(host.paths)
    if login:
        name, password = login
        users = host.paths.state / "users"
        users.write_text(f"{name}:{HASHES[password]}\n")
        with (host.paths.state / "registry.yml").open("a") as file:
            file.write(f"auth: {{htpasswd: {{realm: lab, path: {users}}}}}\n")
    swarm.lab("daemon", naming.REGISTRY, "kill")
    start_registry(swarm)


def start_registry(swarm: Swarm) -> None:
    swarm.lab("daemon", naming.REGISTRY, "start")
    asyncio.run(registry.wait_until_it_answers(swarm.host(naming.REGISTRY)))


def log_in(swarm: Swarm, folder: Path, name: str, password: str) -> None:
    """As `docker login` leaves it."""
    entry = {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {"registry:5000": entry}}))
    swarm.environment["DOCKER_CONFIG"] = str(folder)


def secrets_on(swarm: Swarm, host: str) -> list[str]:
    """Files of a host's daemon that hold a password, as it is or as it is sent."""
    sent = []
    for name, password in (LOGIN, FRESH_LOGIN):
        login = {"username": name, "password": password, "serveraddress": "registry:5000"}
        sent.append(base64.urlsafe_b64encode(json.dumps(login).encode()))
        sent.append(password.encode())
    return [
        str(path)
        for path, content in contents(swarm.host(host).paths.state, without={"images"})
        if any(each in content for each in sent)
    ]
