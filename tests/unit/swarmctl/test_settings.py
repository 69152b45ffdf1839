"""Settings: what wins over what, and what is refused."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from api.errors import SwarmError
from swarmctl import settings as module
from swarmctl.settings import Settings, load


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "swarmd.toml"
    path.write_text(text)
    return path


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, 'state_dir = "/a"\nrun_dir = "/b"\n[labels]\nrack = "x"\n')
    settings = load(path, {"run_dir": "/c"})
    assert (settings.state_dir, settings.run_dir) == (Path("/a"), Path("/c"))
    assert settings.labels == {"rack": "x"}
    assert settings.cgroup_parent == Settings().cgroup_parent
    assert settings.socket == Path("/c/swarmd.sock")


def test_a_duration_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, 'network_key_age = "24h"\nwireguard_port = 51821\n')
    settings = load(path, {})
    assert (settings.network_key_age, settings.wireguard_port) == (86400.0, 51821)
    assert (Settings().network_key_age, Settings().wireguard_port) == (7 * 86400.0, 51820)


def test_folders_are_absolute(tmp_path: Path) -> None:
    settings = load(written(tmp_path, 'plugin_dir = "a"\n'), {"serve_volumes_in": "b"})
    assert (settings.plugin_dir, settings.serve_volumes_in) == (
        Path("a").resolve(),
        Path("b").resolve(),
    )
    assert Settings().serve_volumes_in is None


def test_no_link_is_in_the_daemon_s_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("disk", "memory"):
        (tmp_path / name).mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "disk")
    (tmp_path / "run").symlink_to("memory")
    settings = load(
        written(tmp_path, ""), {"state_dir": tmp_path / "var", "run_dir": tmp_path / "run/swarm"}
    )
    assert (settings.state_dir, settings.run_dir) == (tmp_path / "disk", tmp_path / "memory/swarm")

    @dataclass(frozen=True)
    class ByDefault(Settings):
        state_dir: Path = tmp_path / "var"
        run_dir: Path = tmp_path / "run"

    monkeypatch.setattr(module, "Settings", ByDefault)
    settings = load(written(tmp_path, ""), {})
    assert (settings.state_dir, settings.run_dir) == (tmp_path / "disk", tmp_path / "memory")


def test_lists_and_tables_get_their_types(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'insecure_registries = ["r:5000"]\nnode_generic_resources = ["gpu=u1", "gpu=u2"]\n'
        '[registry_cas]\n"r:5001" = "/etc/r.pem"\n',
    )
    settings = load(path, {})
    assert settings.node_generic_resources == ("gpu=u1", "gpu=u2")
    assert settings.insecure_registries == ("r:5000",)
    assert settings.registry_cas == {"r:5001": Path("/etc/r.pem")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stat_dir = 1", "unknown setting stat_dir"),
        ("= broken", "cannot read"),
        ("run_dir = 1", "run_dir is 1"),
        ('state_dir = ""', "state_dir is ''"),
        ("cgroup_parent = true", "cgroup_parent is True"),
        ('log_level = "loud"', "one of debug, info"),
        ('insecure_registries = "r:5000"', "a list of texts"),
        ("insecure_registries = [5000]", "a list of texts"),
        ("node_generic_resources = 3", "a list of texts"),
        ('node_generic_resources = ["gpu"]', "no generic resource"),
        ("labels = 3", "a table of texts"),
        ('networks = "some"', "one of kernel, none"),
        ('look_at_networks_every = "often"', "a number of seconds"),
        ("look_at_networks_every = -1", "a number of seconds"),
        ("wireguard_port = 65536", "from 1 to 65535"),
        ("wireguard_port = true", "from 1 to 65535"),
        ("open_firewalls = 1", "true or false"),
        ('network_key_age = "1 week"', "a duration as 168h"),
        ('network_key_age = "59s"', "of 60 s at least"),
        ("network_key_age = 3600", "a duration as 168h"),
        ("[labels]\nrack = 1", "a table of texts"),
        ('registry_cas = ["/etc/r.pem"]', "a table of texts"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SwarmError, match=words):
        load(written(tmp_path, text), {})


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SwarmError, match="cannot read"):
        load(tmp_path / "none.toml", {})


def test_the_hosts_api_is_served_in_secret_or_not_at_all(tmp_path: Path) -> None:
    files = {"api_cert": "/c", "api_key": "/k", "api_ca": "/a"}
    settings = load(written(tmp_path, ""), {"api_listen": "0.0.0.0:2376", **files})
    assert (settings.api_listen, settings.api_key) == ("0.0.0.0:2376", Path("/k"))
    assert Settings().api_listen == ""
    with pytest.raises(SwarmError, match="api_key, api_ca is not"):
        load(written(tmp_path, 'api_listen = "0.0.0.0"\napi_cert = "/c"\n'), {})
    with pytest.raises(SwarmError, match=r"api_listen.*10\.0\.0\.1:2376"):
        load(written(tmp_path, ""), {"api_listen": "a:b:c", **files})


@pytest.mark.parametrize(
    ("said", "meant"), [("10.0.0.5", "10.0.0.5:2376"), ("::1", "[::1]:2376"), ("h:1", "h:1")]
)
def test_the_hosts_api_keeps_off_the_port_of_managers(
    tmp_path: Path, said: str, meant: str
) -> None:
    files = {"api_cert": "/c", "api_key": "/k", "api_ca": "/a"}
    assert load(written(tmp_path, ""), {"api_listen": said, **files}).api_listen == meant
