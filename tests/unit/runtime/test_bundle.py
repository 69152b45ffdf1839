"""From requests to OCI configurations, on a host of paper."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.errors import Code, SwarmError
from api.v1 import specs_pb2, types_pb2
from runtime import bundle, process
from runtime.driver import ContainerRequest
from runtime.host_facts import HostFacts
from runtime.user import User

MakeRequest = Callable[..., ContainerRequest]
Mount = specs_pb2.Mount
Privileges = specs_pb2.Privileges
Ulimit = specs_pb2.Ulimit
ETC = {"/etc/hosts": Path("/b/hosts"), "/etc/hostname": Path("/b/hostname")}


@pytest.fixture
def build(paper_host: HostFacts, request_for: MakeRequest) -> Callable[..., dict[str, Any]]:
    def built(*command: str, host: HostFacts = paper_host, **changes: Any) -> dict[str, Any]:
        request = request_for(*command, **changes)
        return bundle.build(request, host, Path("/root/fs"), ETC)

    return built


Build = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("command", "args", "image", "expected"),
    [
        (["a"], [], {}, ["a"]),
        (["a"], ["b"], {}, ["a", "b"]),
        ([], ["b"], {"Entrypoint": ["e"], "Cmd": ["c"]}, ["e", "b"]),
        ([], [], {"Entrypoint": ["e"], "Cmd": ["c"]}, ["e", "c"]),
        (["a"], [], {"Entrypoint": ["e"], "Cmd": ["c"]}, ["a"]),
        ([], ["b"], {"Cmd": ["c"]}, ["b"]),
        ([], [], {"Entrypoint": None, "Cmd": ["c"]}, ["c"]),
    ],
)
def test_arguments(
    build: Build, command: list[str], args: list[str], image: dict[str, Any], expected: list[str]
) -> None:
    config = build(*command, args=args, image_config={"config": image})
    assert config["process"]["args"] == expected


def test_environment_and_directory(build: Build) -> None:
    image = {"Env": ["PATH=/p", "X=1", "Y=2"], "WorkingDir": "srv"}
    found = build("a", tty=True, env=["Y=3", "X", "Z=a=b"], image_config={"config": image})
    assert found["process"]["env"] == ["PATH=/p", "HOSTNAME=box", "TERM=xterm", "Y=3", "Z=a=b"]
    assert found["process"]["cwd"] == "/srv"
    assert found["process"]["terminal"] is True
    assert build("a", dir="/d", image_config={"config": image})["process"]["cwd"] == "/d"
    assert build("a", image_config={"config": None})["process"]["cwd"] == "/"


def test_user(build: Build) -> None:
    config = build("a")
    assert "effective" in config["process"]["capabilities"]
    process.set_user(config["process"], User(5, 6, (6, 7), "/home/five"))
    assert config["process"]["user"] == {"uid": 5, "gid": 6, "additionalGids": [6, 7]}
    assert "HOME=/home/five" in config["process"]["env"]
    assert set(config["process"]["capabilities"]) == {"bounding"}
    config = build("a", env=["HOME=/else"])
    process.set_user(config["process"], User(0, 0, (0,), "/root"))
    assert "HOME=/root" not in config["process"]["env"]
    assert "effective" in config["process"]["capabilities"]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("none", [{"type": "network"}]),
        ("host", []),
        ("netns:/run/netns/x", [{"type": "network", "path": "/run/netns/x"}]),
    ],
)
def test_network(build: Build, network: str, expected: list[dict[str, str]]) -> None:
    linux = build("a", network=network)["linux"]
    assert [entry for entry in linux["namespaces"] if entry["type"] == "network"] == expected
    assert ("net.ipv4.ping_group_range" in linux["sysctl"]) == bool(expected)


def test_mounts(build: Build) -> None:
    config = build(
        "a",
        mounts=[
            Mount(source="/s/deep", target="/data/deep/"),
            Mount(source="/s", target="/data", read_only=True, bind_propagation="rslave"),
            Mount(source="/h", target="/etc/hosts", bind_recursive="disabled"),
            Mount(source="/r", target="/r", read_only=True, bind_recursive="readonly"),
            Mount(type=Mount.TYPE_TMPFS, target="/t", tmpfs_size_bytes=7, tmpfs_mode=0o700),
            Mount(type=Mount.TYPE_TMPFS, target="/dev/shm", read_only=True),
        ],
    )
    found = {mount["destination"]: mount for mount in config["mounts"]}
    order = [mount["destination"] for mount in config["mounts"]]
    assert len(order) == len(set(order))
    assert order.index("/data") < order.index("/data/deep")
    assert order.index("/proc") == 0
    assert found["/data"]["options"] == ["rbind", "rslave", "rro"]
    assert found["/data/deep"]["options"] == ["rbind", "rprivate"]
    assert found["/etc/hosts"] == {
        "destination": "/etc/hosts",
        "type": "bind",
        "source": "/h",
        "options": ["bind", "rprivate"],
    }
    assert found["/etc/hostname"]["options"] == ["rbind", "rprivate", "rw"]
    assert found["/r"]["options"][-1] == "rro"
    assert found["/t"]["options"] == ["nosuid", "nodev", "noexec", "mode=700", "size=7"]
    assert found["/dev/shm"]["options"][-2:] == ["mode=1777", "ro"]
    assert config["linux"]["rootfsPropagation"] == "slave"


def test_files_of_ours_lie_on_what_is_mounted_above_them(build: Build) -> None:
    mounts = [Mount(source="/v", target="/etc"), Mount(source="/h", target="/etc/hosts")]
    config = build("a", mounts=[*mounts, Mount(source="/x", target="/etc/ssl/certs")])
    order = [mount["destination"] for mount in config["mounts"]]
    assert order[-4:] == ["/etc", "/etc/hostname", "/etc/hosts", "/etc/ssl/certs"]
    assert [mount["source"] for mount in config["mounts"]][-4:] == ["/v", "/b/hostname", "/h", "/x"]


def test_read_only_and_propagation(build: Build) -> None:
    config = build("a", read_only=True)
    assert config["root"] == {"path": "/root/fs", "readonly": True}
    hosts = next(m for m in config["mounts"] if m["destination"] == "/etc/hosts")
    assert hosts["options"][-1] == "ro"
    assert "rootfsPropagation" not in config["linux"]
    shared = [Mount(source="/s", target="/s", bind_propagation="rshared")]
    assert build("a", mounts=shared)["linux"]["rootfsPropagation"] == "shared"


def test_init_is_the_first_process_and_runs_the_command(
    build: Build, paper_host: HostFacts
) -> None:
    host = replace(paper_host, init=Path("/usr/bin/tini-static"))
    config = build("sleep", "1", init=True, host=host)
    assert config["process"]["args"] == ["/sbin/docker-init", "--", "sleep", "1"]
    assert config["mounts"][-1] == {
        "destination": "/sbin/docker-init",
        "type": "bind",
        "source": "/usr/bin/tini-static",
        "options": ["bind", "rprivate", "ro"],
    }
    assert build("sleep", "1", host=host)["process"]["args"] == ["sleep", "1"]


def test_security(build: Build) -> None:
    found = build("a")
    assert found["process"]["noNewPrivileges"] is True
    assert found["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert "/proc/kcore" in found["linux"]["maskedPaths"]
    assert "/proc/sys" in found["linux"]["readonlyPaths"]
    loose = Privileges(
        no_new_privileges_off=True,
        seccomp_profile="unconfined",
        apparmor_profile="p",
        selinux_label="l",
    )
    found = build("a", privileges=loose)
    assert found["process"]["noNewPrivileges"] is False
    assert "seccomp" not in found["linux"]
    assert found["process"]["apparmorProfile"] == "p"
    assert found["process"]["selinuxLabel"] == found["linux"]["mountLabel"] == "l"


def test_limits_are_cut_to_what_the_host_grants(build: Build) -> None:
    limits = [
        Ulimit(name="nofile", soft=1024, hard=1 << 20),
        Ulimit(name="NPROC", soft=-1, hard=-1),
        Ulimit(name="core", soft=0, hard=-1),
    ]
    assert build("a", ulimits=limits)["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 20000},
        {"type": "RLIMIT_NPROC", "soft": 500, "hard": 500},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
    ]


def test_oom_score(build: Build, paper_host: HostFacts) -> None:
    assert "oomScoreAdj" not in build("a")["process"]
    assert build("a", oom_score_adj=5)["process"]["oomScoreAdj"] == 5
    assert build("a", oom_score_adj=-5)["process"]["oomScoreAdj"] == 0
    able = replace(paper_host, capabilities=paper_host.capabilities | {"CAP_SYS_RESOURCE"})
    assert build("a", oom_score_adj=-5, host=able)["process"]["oomScoreAdj"] == -5


def resources(
    pids: int = 0, reserved: int = 0, nano_cpus: int = 0, memory_bytes: int = 0
) -> specs_pb2.ResourceRequirements:
    return specs_pb2.ResourceRequirements(
        limits=types_pb2.Resources(nano_cpus=nano_cpus, memory_bytes=memory_bytes),
        reservations=types_pb2.Resources(memory_bytes=reserved),
        pids_limit=pids,
    )


MIB = 1 << 20


@pytest.mark.parametrize(
    ("wanted", "spec", "expected"),
    [
        (resources(), {}, {}),
        (resources(), {"memory_swap_bytes": -1}, {}),
        (resources(memory_bytes=64 * MIB), {}, {"memory": {"limit": 64 * MIB, "swap": 128 * MIB}}),
        (
            resources(memory_bytes=64 * MIB),
            {"memory_swap_bytes": 64 * MIB},
            {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}},
        ),
        (
            resources(memory_bytes=64 * MIB, reserved=32 * MIB),
            {"memory_swap_bytes": -1, "memory_swappiness": 0},
            {
                "memory": {
                    "limit": 64 * MIB,
                    "reservation": 32 * MIB,
                    "swap": -1,
                    "swappiness": 0,
                }
            },
        ),
        (resources(nano_cpus=1_500_000_000), {}, {"cpu": {"quota": 150_000, "period": 100_000}}),
        (resources(pids=7), {}, {"pids": {"limit": 7}}),
    ],
)
def test_resources(
    build: Build,
    wanted: specs_pb2.ResourceRequirements,
    spec: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    found = build("a", resources=wanted, **spec)["linux"]
    assert found["resources"].pop("devices")[0] == {"allow": False, "access": "rwm"}
    assert found["resources"] == expected
    assert found["cgroupsPath"].startswith("/swarm/")


def test_what_a_host_cannot_account_for(build: Build, paper_host: HostFacts) -> None:
    wanted = resources(memory_bytes=64 * MIB)
    no_swap = replace(paper_host, swap_accounting=False)
    found = build("a", host=no_swap, resources=wanted)["linux"]["resources"]
    assert found["memory"] == {"limit": 64 * MIB}
    second = replace(paper_host, cgroup_version=2)
    found = build("a", host=second, resources=wanted, memory_swappiness=10)["linux"]["resources"]
    assert "swappiness" not in found["memory"]


@pytest.mark.parametrize(
    ("controllers", "wanted", "field"),
    [
        ("cpu pids", resources(memory_bytes=64 * MIB), "resources.limits.memory_bytes"),
        ("memory pids", resources(nano_cpus=10**9), "resources.limits.nano_cpus"),
        ("memory cpu", resources(pids=5), "resources.pids_limit"),
    ],
)
def test_a_limit_without_its_controller_is_refused(
    build: Build,
    paper_host: HostFacts,
    controllers: str,
    wanted: specs_pb2.ResourceRequirements,
    field: str,
) -> None:
    host = replace(paper_host, controllers=frozenset(controllers.split()))
    with pytest.raises(SwarmError) as caught:
        build("a", host=host, resources=wanted)
    assert (caught.value.code, caught.value.field) == (Code.REFUSED, field)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"network": "bridge"}, "network"),
        ({"network": "netns:relative"}, "network"),
        ({"cap_add": ["CHOWN", "FLY"]}, "container.cap_add[1]"),
        ({"cap_add": ["SYS_RESOURCE"]}, "container.cap_add[0]"),
        ({"cap_drop": ["FLY"]}, "container.cap_drop[0]"),
        ({"sysctls": {"vm.swappiness": "1"}}, "container.sysctls.vm.swappiness"),
        ({"sysctls": {"kernel.hostname": "x"}}, "container.sysctls.kernel.hostname"),
        (
            {"sysctls": {"net.core.somaxconn": "1"}, "network": "host"},
            "container.sysctls.net.core.somaxconn",
        ),
        ({"ulimits": [Ulimit(name="x")]}, "container.ulimits[0]"),
        ({"ulimits": [Ulimit(name="core", soft=2, hard=1)]}, "container.ulimits[0]"),
        ({"ulimits": [Ulimit(name="core", soft=-1, hard=1)]}, "container.ulimits[0]"),
        ({"oom_score_adj": 1001}, "container.oom_score_adj"),
        ({"mounts": [Mount(source="/s", target="t")]}, "container.mounts[0].target"),
        ({"mounts": [Mount(source="/s", target="/")]}, "container.mounts[0].target"),
        ({"mounts": [Mount(source="/s", target="/a/../b")]}, "container.mounts[0].target"),
        ({"mounts": [Mount(source="s", target="/t")]}, "container.mounts[0].source"),
        (
            {"mounts": [Mount(source="/s", target="/t"), Mount(source="/u", target="/t/")]},
            "container.mounts[1].target",
        ),
        (
            {"mounts": [Mount(source="/s", target="/t", bind_propagation="up")]},
            "container.mounts[0].bind_propagation",
        ),
        (
            {"mounts": [Mount(source="/s", target="/t", bind_recursive="up")]},
            "container.mounts[0].bind_recursive",
        ),
        ({"mounts": [Mount(type=Mount.TYPE_VOLUME, target="/t")]}, "container.mounts[0].type"),
        ({"init": True}, "container.init"),
        ({"isolation": "hyperv"}, "container.isolation"),
        ({"privileges": Privileges(credential_spec="x")}, "container.privileges.credential_spec"),
        ({"privileges": Privileges(seccomp_profile="{")}, "container.privileges.seccomp_profile"),
        ({"privileges": Privileges(seccomp_profile="[]")}, "container.privileges.seccomp_profile"),
        ({"memory_swap_bytes": 5}, "container.memory_swap_bytes"),
        ({"memory_swap_bytes": -2}, "container.memory_swap_bytes"),
        (
            {"memory_swap_bytes": 5, "resources": resources(memory_bytes=64 * MIB)},
            "container.memory_swap_bytes",
        ),
        ({"memory_swappiness": 101}, "container.memory_swappiness"),
        ({"resources": resources(memory_bytes=4 * MIB)}, "resources.limits.memory_bytes"),
        ({"resources": resources(nano_cpus=9)}, "resources.limits.nano_cpus"),
    ],
)
def test_refused(build: Build, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SwarmError) as caught:
        build("a", **changes)
    assert caught.value.field == field


def test_no_command(build: Build) -> None:
    with pytest.raises(SwarmError, match="no command specified"):
        build()


@pytest.mark.parametrize(
    ("spec", "image", "expected"),
    [
        ("", None, 15),
        ("", "SIGQUIT", 3),
        ("INT", "SIGQUIT", 2),
        ("sigusr1", None, 10),
        ("9", None, 9),
        ("RTMIN+3", None, 37),
        ("SIGRTMAX-1", None, 63),
    ],
)
def test_stop_signal(request_for: MakeRequest, spec: str, image: str | None, expected: int) -> None:
    config = {"config": {"StopSignal": image}}
    assert bundle.stop_signal(request_for("a", stop_signal=spec, image_config=config)) == expected


@pytest.mark.parametrize("text", ["NOPE", "0", "65", "RTMIN+40", "SIG"])
def test_stop_signal_refused(request_for: MakeRequest, text: str) -> None:
    with pytest.raises(SwarmError) as caught:
        bundle.stop_signal(request_for("a", stop_signal=text))
    assert caught.value.field == "container.stop_signal"
