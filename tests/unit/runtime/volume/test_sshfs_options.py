"""From options to programs: secrets never in a command, and no lock that only looks like one."""

from dataclasses import replace

import pytest

from api.errors import Code, SwarmError
from runtime.volume.driver import Access, Volume
from runtime.volume.sshfs_options import Storage, check, server, storage_of

PLAIN = Volume("v", {"sshcmd": "me@host:/srv"})


@pytest.mark.parametrize(
    ("sshcmd", "storage"),
    [
        ("me@host:/srv", Storage("me", "host", "/srv", 22)),
        ("host:", Storage("root", "host", "/", 22)),
        ("me@[fd00::1]:/srv", Storage("me", "fd00::1", "/srv", 22)),
    ],
)
def test_where_the_files_are(sshcmd: str, storage: Storage) -> None:
    assert storage_of({"sshcmd": sshcmd}) == storage


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sshcmd": "-oProxyCommand=x@h:/"},
        {"sshcmd": "me@-host;x:/srv"},
        {"sshcmd": "host:relative"},
        {"sshcmd": "host:/", "port": "0"},
        {"sshcmd": "host:/", "port": "x"},
        {"sshcmd": "host:/", "reconnect": ""},
        {"sshcmd": "host:/", "uid": "1,allow_root"},
        {"sshcmd": "host:/", "locks": "global"},
    ],
)
def test_what_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(SwarmError) as refused:
        storage_of(options)
    assert refused.value.code is Code.INVALID


def test_a_password_would_be_seen_by_all() -> None:
    with pytest.raises(SwarmError, match="takes no password") as refused:
        storage_of({"sshcmd": "host:/", "password": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_many_writers_have_to_know_that_locks_are_local() -> None:
    shared = replace(PLAIN, access=Access.MANY_WRITERS)
    with pytest.raises(SwarmError, match="its own host only"):
        check(shared)
    check(replace(shared, options={**PLAIN.options, "locks": "local"}))
    check(PLAIN)


def test_secrets_are_files_of_memory() -> None:
    volume = replace(
        PLAIN,
        options={**PLAIN.options, "host_key": "ssh-ed25519 AAAA", "uid": "7"},
        secrets={"identity": b"private"},
        read_only=True,
    )
    made = server(volume, "connect", ["no_contain_symlinks"])
    assert made.files == {"identity": b"private", "hosts": b"* ssh-ed25519 AAAA\n"}
    assert "private" not in repr(made)
    assert "IdentityFile={file:identity}" in made.transport
    assert "UserKnownHostsFile={file:hosts}" in made.transport
    assert made.command[-1] == (
        "passive,allow_other,default_permissions,no_contain_symlinks,uid=7,ro"
    )


def test_an_unknown_host_is_never_trusted_and_nothing_reconnects() -> None:
    made = server(PLAIN, "connect")
    assert "StrictHostKeyChecking=yes" in made.transport
    assert "ProxyCommand=connect host 22" in made.transport
    assert not any("reconnect" in word for word in (*made.command, *made.transport))
