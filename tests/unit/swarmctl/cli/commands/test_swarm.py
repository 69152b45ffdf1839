"""`swarm` and `system`: what is sent, what is printed, and certificates for operators."""

import io
import json
import stat
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from api.times import timestamp
from api.v1 import control_pb2, host_pb2, objects_pb2, specs_pb2, types_pb2
from swarmctl.cli import contexts
from tests.support.command_line import CommandLine
from tests.support.golden import check_golden
from tests.support.scripted_daemon import ScriptedDaemon


def test_init(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    answer = host_pb2.InitSwarmResponse(
        node_id="n1", address="10.0.0.1:2377", **{"worker_token": "TOKEN"}
    )
    daemon.on("InitSwarm", answer)
    result = cli(
        *("swarm", "init", "--advertise-addr", "eth0", "--listen-addr", "0.0.0.0:2377"),
        *("--availability", "drain", "--cert-expiry", "24h", "--dispatcher-heartbeat", "1s"),
        *("--task-history-limit", "-1", "--snapshot-interval", "100"),
    )
    assert result.code == 0
    check_golden("cli/swarm_init.txt", result.out)
    [request] = daemon.asked("InitSwarm")
    spec = specs_pb2.ClusterSpec(task_history_limit=-1, snapshot_interval=100)
    spec.node_cert_expiry.seconds = 86400
    spec.heartbeat_period.seconds = 1
    assert request == host_pb2.InitSwarmRequest(
        advertise_address="eth0",
        listen_address="0.0.0.0:2377",
        availability=types_pb2.NODE_AVAILABILITY_DRAIN,
        spec=spec,
    )


@pytest.mark.parametrize(
    ("args", "method"),
    [
        (("init",), "InitSwarm"),
        (("join", "--token", "T", "10.0.0.1:2377"), "JoinSwarm"),
        (("leave",), "LeaveSwarm"),
    ],
)
def test_what_has_no_request_id_is_sent_once(
    cli: CommandLine, daemon: ScriptedDaemon, args: tuple[str, ...], method: str
) -> None:
    daemon.on(method, SwarmError(Code.UNAVAILABLE, "no manager answers"))
    result = cli("swarm", *args)
    assert (result.code, result.err) == (4, "swarmctl: no manager answers\n")
    assert len(daemon.asked(method)) == 1


def test_join_and_leave(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    joined = host_pb2.JoinSwarmResponse(node_id="n2", role=types_pb2.NODE_ROLE_MANAGER)
    daemon.on("JoinSwarm", joined)
    daemon.on("LeaveSwarm", host_pb2.LeaveSwarmResponse())
    result = cli("swarm", "join", "10.0.0.1:2377", "--token", "T", "10.0.0.2:2377")
    assert result.out == "This node joined a swarm as a manager (n2).\n"
    [request] = daemon.asked("JoinSwarm")
    assert (request.token, list(request.managers)) == ("T", ["10.0.0.1:2377", "10.0.0.2:2377"])
    assert cli("swarm", "leave", "-f").out == "Node left the swarm.\n"
    assert daemon.asked("LeaveSwarm")[0].force
    assert cli("swarm", "join", "10.0.0.1:2377").code == 2


def test_a_token_comes_from_a_file_or_standard_input_as_well(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.on("JoinSwarm", host_pb2.JoinSwarmResponse(node_id="n2"))
    file = tmp_path / "token"
    file.write_text("FILED\nmore\n")
    assert cli("swarm", "join", "10.0.0.1:2377", "--token-file", str(file)).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("PIPED\n"))
    assert cli("swarm", "join", "10.0.0.1:2377", "--token-file", "-").code == 0
    assert [each.token for each in daemon.asked("JoinSwarm")] == ["FILED", "PIPED"]
    both = cli("swarm", "join", "10.0.0.1:2377", "--token", "T", "--token-file", str(file))
    assert both.code == 2
    file.write_text("")
    assert cli("swarm", "join", "10.0.0.1:2377", "--token-file", str(file)).code == 2
    assert cli("swarm", "join", "10.0.0.1:2377", "--token-file", str(tmp_path / "no")).code == 1


def test_a_quiet_init_says_no_secret(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    answer = host_pb2.InitSwarmResponse(node_id="n1", **{"worker_token": "TOKEN"})
    daemon.on("InitSwarm", answer)
    assert cli("swarm", "init", "-q", "--autolock").out == "n1\n"


def test_settings_are_shown_without_tokens(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    cluster = objects_pb2.Cluster(id="c1", spec=specs_pb2.ClusterSpec(task_history_limit=3))
    setattr(cluster.root_ca, "worker_token", "TOKEN")  # noqa: B010 - a token, for the linter
    daemon.on("GetCluster", cluster)
    shown = cli("swarm", "inspect").out
    assert json.loads(shown) == {"ID": "c1", "Spec": {"TaskHistoryLimit": 3}}
    assert cli("swarm", "inspect", "-f", "{{.Spec.TaskHistoryLimit}}").out == "3\n"


def test_what_is_said_of_networks_when_a_swarm_is_made_or_joined(
    cli: CommandLine, daemon: ScriptedDaemon
) -> None:
    daemon.on("InitSwarm", host_pb2.InitSwarmResponse(node_id="n1", address="10.0.0.1:2377"))
    daemon.on("JoinSwarm", host_pb2.JoinSwarmResponse(node_id="n2"))
    flags = (
        *("--data-path-addr", "eth1", "--data-path-port", "4790"),
        *("--default-addr-pool", "10.20.0.0/16,10.30.0.0/16"),
        *("--default-addr-pool", "10.40.0.0/16", "--default-addr-pool-mask-length", "26"),
    )
    assert cli("swarm", "init", *flags).code == 0
    [made] = daemon.asked("InitSwarm")
    assert made.data_path_address == "eth1"
    assert made.spec == specs_pb2.ClusterSpec(
        address_pools=["10.20.0.0/16", "10.30.0.0/16", "10.40.0.0/16"],
        subnet_size=26,
        data_path_port=4790,
    )
    words = ("--token", "T", "--data-path-addr", "192.0.2.7", "10.0.0.1:2377")
    assert cli("swarm", "join", *words).code == 0
    assert daemon.asked("JoinSwarm")[0].data_path_address == "192.0.2.7"
    assert cli("swarm", "init", "--data-path-port", "80").code == 2


def test_join_tokens(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    cluster = objects_pb2.Cluster()
    cluster.root_ca.worker_token, cluster.root_ca.manager_token = "WORKER", "MANAGER"
    manager = objects_pb2.Node()
    manager.manager.address = "10.0.0.1:2377"
    daemon.on("GetCluster", cluster)
    daemon.on("RotateJoinToken", cluster)
    daemon.on("ListNodes", control_pb2.ListNodesResponse(nodes=[manager]))
    assert cli("swarm", "join-token", "-q", "worker").out == "WORKER\n"
    assert cli("swarm", "join-token", "-q", "manager").out == "MANAGER\n"
    check_golden("cli/swarm_join_token.txt", cli("swarm", "join-token", "worker").out)
    assert "was rotated" in cli("swarm", "join-token", "--rotate", "manager").out
    [request] = daemon.asked("RotateJoinToken")
    assert (request.role, bool(request.request_id)) == (types_pb2.NODE_ROLE_MANAGER, True)
    assert cli("swarm", "join-token", "boss").code == 2


@pytest.fixture
def credentials(daemon: ScriptedDaemon) -> None:
    made = control_pb2.OperatorCredentials(
        certificate_pem=b"CERT", ca_pem=b"CA", managers=["10.0.0.1:2377", "10.0.0.2:2377"]
    )
    daemon.on("CreateOperator", made)


@pytest.mark.usefixtures("credentials")
def test_a_certificate_and_its_context(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "anna"
    result = cli("swarm", "client-cert", "anna", "--out", str(folder), "--context", "prod")
    assert (result.code, result.err) == (0, "")
    [request] = daemon.asked("CreateOperator")
    assert (request.name, bool(request.request_id)) == ("anna", True)
    assert request.csr_pem.startswith(b"-----BEGIN CERTIFICATE REQUEST-----")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "key.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (folder / "cert.pem").read_bytes() == b"CERT"
    hosts = ("tcp://10.0.0.1:2377", "tcp://10.0.0.2:2377")
    assert contexts.get("prod") == contexts.Context("prod", hosts, str(folder))


@pytest.mark.usefixtures("credentials")
def test_nobody_is_certified_if_the_result_has_no_place(
    cli: CommandLine, daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    contexts.save(contexts.Context("taken", ("unix:///x",)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for args in (
        ("anna", "--out", str(tmp_path / "full")),
        ("anna", "--out", str(tmp_path / "full" / "file" / "below")),
        ("anna", "--out", str(tmp_path / "a"), "--context", "taken"),
        ("anna", "--out", str(tmp_path / "a"), "--context", "default"),
        ("anna", "--out", str(tmp_path / "a"), "--context", "not a name"),
        (),
    ):
        result = cli("swarm", "client-cert", *args)
        assert result.code in (1, 2)
        assert "internal error" not in result.err
    assert daemon.asked("CreateOperator") == []


def test_operators(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    anna = objects_pb2.Operator(id="o1", name="anna", expires_at=timestamp(1_800_000_000))
    daemon.on("ListOperators", control_pb2.ListOperatorsResponse(operators=[anna]))
    daemon.on("RemoveOperator", control_pb2.RemoveResponse())
    check_golden("cli/swarm_client_cert_ls.txt", cli("swarm", "client-cert", "--ls").out)
    assert cli("swarm", "client-cert", "--rm", "anna").out == "anna\n"
    assert daemon.asked("RemoveOperator")[0].key == "anna"


def info() -> host_pb2.InfoResponse:
    made = host_pb2.InfoResponse(
        version="0.1.0",
        python="3.11.2",
        kernel="6.1.0",
        os="Debian GNU/Linux 12",
        state_dir="/var/lib/swarm",
        images=3,
        containers=5,
        containers_running=4,
        warnings=["this host has no pids controller"],
    )
    made.description.hostname = "host1"
    made.description.platform.architecture = "amd64"
    made.description.resources.nano_cpus = 2_000_000_000
    made.description.resources.memory_bytes = 8 << 30
    made.description.engine.runtime = "crun 1.8.1"
    made.description.engine.labels["disk"] = "ssd"
    made.swarm.state = host_pb2.SwarmInfo.STATE_ACTIVE
    made.swarm.node_id = "n1"
    made.swarm.role = types_pb2.NODE_ROLE_MANAGER
    made.swarm.managers.append("10.0.0.1:2377")
    made.swarm.certificate_expires_at.CopyFrom(timestamp(1_800_000_000))
    return made


def test_system_info(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Info", info())
    result = cli("system", "info")
    assert (result.code, result.err) == (0, "WARNING: this host has no pids controller\n")
    check_golden("cli/system_info.txt", result.out)
    form = "{{.Swarm.State}} {{.Swarm.NodeID}} {{.Description.Resources.NanoCPUs}}"
    assert cli("system", "info", "-f", form).out == "active n1 2000000000\n"


def test_a_node_that_no_manager_takes_in_says_why(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    removed = info()
    removed.swarm.state = host_pb2.SwarmInfo.STATE_PENDING
    removed.swarm.error = "node n1 is not a member of this cluster: it was removed"
    daemon.on("Info", removed)
    words = " ".join(cli("system", "info").out.split())
    assert "Swarm: pending" in words
    assert "Error: node n1 is not a member of this cluster: it was removed" in words


def test_a_locked_manager_says_so(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    locked = info()
    locked.swarm.state = host_pb2.SwarmInfo.STATE_LOCKED
    locked.swarm.ClearField("certificate_expires_at")
    daemon.on("Info", locked)
    words = cli("system", "info").out
    assert "Swarm: locked" in " ".join(words.split())
    assert "Certificate Expires" not in words


def test_system_version(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    daemon.on("Info", info())
    assert "Runtime: crun 1.8.1" in " ".join(cli("system", "version").out.split())
    assert cli("system", "version", "-f", "{{.Server.Kernel}}").out == "6.1.0\n"


def test_our_own_version_is_known_without_a_daemon(tmp_path: Path) -> None:
    cli = CommandLine("-H", f"unix://{tmp_path}/none.sock")
    result = cli("system", "version")
    assert result.code == 4
    assert result.out.startswith("Client:\n Version:")
    assert "cannot reach swarmd" in result.err
    assert cli("system", "version", "-f", "json").out == ""
