"""What a real container sees of itself and of its host."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api.v1 import specs_pb2, types_pb2
from hostkit import mount
from runtime.driver import ContainerRequest
from tests.support.containers import Box

pytestmark = pytest.mark.root

Mount = specs_pb2.Mount
_UNSHARE = "unshare -U true"


def limits(**fields: Any) -> specs_pb2.ResourceRequirements:
    pids = fields.pop("pids_limit", 0)
    return specs_pb2.ResourceRequirements(limits=types_pb2.Resources(**fields), pids_limit=pids)


def lines_of(box: Box, request: ContainerRequest) -> list[str]:
    result, lines = box.output(request)
    assert result.code == 0, lines
    return lines


def test_user_environment_directory_and_host_name(box: Box) -> None:
    request = box.shell(
        "id; pwd; hostname; cat /etc/hostname; echo $A $B $HOME $HOSTNAME; echo $#",
        user="app",
        dir="/made/for/it",
        env=["A=spec", "B=b"],
        hostname="alpha",
        image_config={"config": {"Env": ["A=image"], "User": "root"}},
    )
    assert lines_of(box, request) == [
        "uid=1001(app) gid=1002(app) groups=44(extra),1002(app)",
        "/made/for/it",
        "alpha",
        "alpha",
        "spec b /home/app alpha",
        "0",
    ]


def test_image_entrypoint_and_arguments(box: Box) -> None:
    image = {"config": {"Entrypoint": ["echo", "e"], "Cmd": ["c"]}}
    assert lines_of(box, box.request(image_config=image)) == ["e c"]
    assert lines_of(box, box.request(image_config=image, args=["a"])) == ["e a"]


def test_read_only_root_with_a_tmpfs(box: Box) -> None:
    request = box.shell(
        "touch /x || echo refused; touch /t/x && stat -c %a /t; touch /etc/hosts || echo refused",
        read_only=True,
        mounts=[Mount(type=Mount.TYPE_TMPFS, target="/t", tmpfs_size_bytes=1 << 20)],
    )
    lines = lines_of(box, request)
    assert [line for line in lines if "touch:" not in line] == ["refused", "1777", "refused"]


def test_binds(box: Box, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "in").write_text("from outside\n")
    request = box.shell(
        "cat /file; touch /ro/x || echo refused; echo inside > /rw/out; ls -d /new",
        mounts=[
            Mount(source=str(shared), target="/rw"),
            Mount(source=str(shared), target="/ro", read_only=True),
            Mount(source=str(shared / "in"), target="/file", read_only=True),
            Mount(source=str(tmp_path / "a/b"), target="/new", bind_create_source=True),
        ],
    )
    lines = lines_of(box, request)
    assert [line for line in lines if "touch:" not in line] == ["from outside", "refused", "/new"]
    assert (shared / "out").read_text() == "inside\n"
    assert (tmp_path / "a/b").is_dir()


@pytest.mark.parametrize("read_only", [False, True])
def test_names_are_known_in_a_container_with_an_etc_of_its_own(
    box: Box, tmp_path: Path, read_only: bool
) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "own").write_text("kept\n")
    if read_only:  # nothing can be made in it, to be mounted over
        for name in ("hosts", "hostname", "resolv.conf"):
            (etc / name).touch()
    mount = Mount(source=str(etc), target="/etc", read_only=read_only)
    script = "cat /etc/own /etc/hostname /etc/hosts"
    lines = lines_of(box, box.shell(script, mounts=[mount], hosts=["10.1.1.1 db"]))
    assert lines[:2] == ["kept", "box"]
    assert lines[-1] == "10.1.1.1 db"


def test_a_file_is_bound_read_only(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x\n", encoding="utf-8")
    mount = Mount(source=str(tmp_path / "file"), target="/new", read_only=True)
    request = box.shell("cat /new; { echo y > /new || echo kept; } 2>/dev/null", mounts=[mount])
    assert lines_of(box, request) == ["x", "kept"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x\n"


@pytest.mark.parametrize(
    ("recursive", "expected"), [("", "refused"), ("readonly", "refused"), ("writable", "written")]
)
def test_what_is_mounted_below_a_read_only_bind(
    box: Box, tmp_path: Path, recursive: str, expected: str
) -> None:
    below = tmp_path / "top/below"
    below.mkdir(parents=True)
    mount.mount("tmpfs", below, "tmpfs")
    try:
        (below / "there").touch()
        top = Mount(
            source=str(tmp_path / "top"), target="/m", read_only=True, bind_recursive=recursive
        )
        script = "cd /m/below && ls there && touch x && echo written || echo refused"
        lines = lines_of(box, box.shell(script, mounts=[top]))
        assert [line for line in lines if "touch:" not in line] == ["there", expected]
    finally:
        mount.unmount(below)


def test_network_none_has_a_loopback_and_its_own_name(box: Box) -> None:
    lines = lines_of(box, box.shell("ls /sys/class/net; cat /etc/hosts", hosts=["10.1.1.1 db"]))
    assert lines[0] == "lo"
    assert "127.0.1.1\tbox" in lines
    assert lines[-1] == "10.1.1.1 db"


def test_network_host_shares_the_host_s(box: Box) -> None:
    own = os.readlink("/proc/self/ns/net")
    shared = box.request("readlink", "/proc/self/ns/net", network="host")
    assert lines_of(box, shared) == [own]
    assert lines_of(box, box.request("readlink", "/proc/self/ns/net")) != [own]


def test_network_of_a_given_namespace(box: Box) -> None:
    name = f"rt-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        path = Path("/run/netns") / name
        request = box.request("readlink", "/proc/self/ns/net", network=f"netns:{path}")
        assert lines_of(box, request) == [f"net:[{path.stat().st_ino}]"]
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_name_resolution(box: Box) -> None:
    dns = specs_pb2.DnsConfig(nameservers=["127.0.0.11"], search=["x"], options=["ndots:0"])
    assert lines_of(box, box.shell("cat /etc/resolv.conf", dns=dns)) == [
        "nameserver 127.0.0.11",
        "search x",
        "options ndots:0",
    ]


def test_memory_limit(box: Box) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=60M count=1"
    result, _ = box.output(box.shell(script, resources=limits(memory_bytes=16 << 20)))
    assert result.oom_killed
    assert result.message == "out of memory"
    assert result.code == 137


def test_pids_limit(box: Box) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all"
    result, lines = box.output(box.shell(script, resources=limits(pids_limit=5)))
    assert result.code != 0
    assert "all" not in lines
    assert any("fork" in line for line in lines)


def test_capabilities(box: Box) -> None:
    show = "grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status"
    assert lines_of(box, box.shell(show)) == [
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "NoNewPrivs:\t1",
    ]
    dropped = box.shell(
        show,
        cap_drop=["ALL"],
        cap_add=["CHOWN"],
        privileges=specs_pb2.Privileges(no_new_privileges_off=True),
    )
    assert lines_of(box, dropped) == [
        "CapEff:\t0000000000000001",
        "CapBnd:\t0000000000000001",
        "NoNewPrivs:\t0",
    ]
    assert lines_of(box, box.shell(show, user="5"))[0] == "CapEff:\t0000000000000000"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, True),
        ({"privileges": specs_pb2.Privileges(seccomp_profile="unconfined")}, False),
        (
            {
                "privileges": specs_pb2.Privileges(
                    seccomp_profile='{"defaultAction": "SCMP_ACT_ALLOW"}'
                )
            },
            False,
        ),
    ],
)
def test_new_user_namespaces_are_filtered(box: Box, changes: dict[str, Any], refused: bool) -> None:
    result, lines = box.output(box.shell(_UNSHARE, **changes))
    assert (result.code != 0) == refused, lines


def test_limits_sysctls_and_scores(box: Box) -> None:
    request = box.shell(
        "ulimit -n; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
        " /proc/sys/kernel/msgmax /proc/self/oom_score_adj",
        ulimits=[specs_pb2.Ulimit(name="nofile", soft=123, hard=1 << 30)],
        sysctls={"kernel.msgmax": "4242"},
        oom_score_adj=300,
    )
    assert lines_of(box, request) == ["123", "0", "4242", "300"]


def test_terminal(box: Box) -> None:
    request = box.shell("tty; echo $TERM", tty=True)
    assert lines_of(box, request) == ["/dev/pts/0\r", "xterm\r"]


def test_the_host_s_kernel_files_are_masked(box: Box) -> None:
    script = "wc -c < /proc/keys; touch /proc/sys/kernel/x; ls /sys/firmware | wc -l; mount"
    lines = lines_of(box, box.shell(script))
    assert lines[0] == "0"
    assert any(re.fullmatch(r"proc on /proc/sys type proc \(ro,.*\)", line) for line in lines)


def test_very_many_layers(box: Box, tmp_path: Path) -> None:
    layers = []
    for number in range(120):
        layer = tmp_path / f"{number:060}"
        layer.mkdir()
        (layer / f"f{number}").touch()
        (layer / "top").write_text(str(number))
        layers.append(layer)
    request = box.shell("ls -d /f* | wc -l; cat /top", layers=(box.layer, *layers))
    assert lines_of(box, request) == ["120", "119"]
