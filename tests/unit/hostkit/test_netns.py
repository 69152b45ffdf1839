import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.errors import Code, SwarmError
from hostkit import netns

NAME = f"test-netns-{os.getpid()}"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x" * 65])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(SwarmError) as refused:
        netns.path(name)
    assert refused.value.code is Code.INVALID


@pytest.fixture
def namespace() -> Iterator[str]:
    netns.create(NAME)
    yield NAME
    netns.delete(NAME)


def inode(path: str | Path) -> int:
    return os.stat(path).st_ino


@pytest.mark.root
def test_a_namespace_is_another_one_and_the_caller_stays(namespace: str) -> None:
    home = inode("/proc/thread-self/ns/net")
    inside = netns.call_in(netns.path(namespace), lambda: inode("/proc/thread-self/ns/net"))
    assert inside == inode(netns.path(namespace)) != home
    assert inode("/proc/thread-self/ns/net") == home


@pytest.mark.root
def test_a_socket_stays_where_it_was_made(namespace: str) -> None:
    made = netns.call_in(netns.path(namespace), lambda: socket.socket(socket.AF_INET))
    with made, pytest.raises(OSError, match="unreachable"):
        made.connect(("127.0.0.1", 9))  # loopback is down there


@pytest.mark.root
def test_what_fails_inside_fails_outside(namespace: str) -> None:
    with pytest.raises(ZeroDivisionError):
        netns.call_in(netns.path(namespace), lambda: 1 // 0)


@pytest.mark.root
def test_one_that_is_there_stays_and_what_a_crash_left_is_replaced(namespace: str) -> None:
    before = inode(netns.path(namespace))
    assert inode(netns.ensure(namespace)) == before
    netns.delete(namespace)
    netns.DIRECTORY.mkdir(exist_ok=True)
    netns.path(namespace).touch()
    assert netns.call_in(netns.ensure(namespace), lambda: True)
    netns.delete(namespace)
    assert netns.call_in(netns.ensure(namespace), lambda: True)


@pytest.mark.root
def test_a_taken_name_is_refused(namespace: str) -> None:
    assert netns.exists(namespace)
    before = inode(netns.path(namespace))
    with pytest.raises(SwarmError) as refused:
        netns.create(namespace)
    assert refused.value.code is Code.EXISTS
    assert inode(netns.path(namespace)) == before


@pytest.mark.root
def test_deleting_leaves_nothing_and_may_be_repeated(namespace: str) -> None:
    netns.delete(namespace)
    netns.delete(namespace)
    assert not netns.exists(namespace)
    assert NAME not in Path("/proc/self/mounts").read_text()
    with pytest.raises(SwarmError) as missing:
        netns.call_in(netns.path(namespace), lambda: None)
    assert missing.value.code is Code.NOT_FOUND


@pytest.mark.root
def test_what_a_crash_left_of_a_name_can_be_deleted(namespace: str) -> None:
    netns.delete(namespace)
    netns.DIRECTORY.mkdir(exist_ok=True)
    netns.path(namespace).touch()  # made, never mounted upon
    netns.delete(namespace)
    netns.create(namespace)
    with contextlib.ExitStack() as stack:
        stack.callback(netns.delete, namespace)
        assert netns.exists(namespace)
