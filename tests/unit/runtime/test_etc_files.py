"""The files in /etc that a container gets from us."""

from api.v1 import specs_pb2
from runtime.etc_files import hosts, resolv_conf

HOST = "# ours\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a b\noptions ndots:2\nbroken\n"


def test_hosts() -> None:
    lines = hosts(["10.1.1.1 db", "10.1.1.2 a\nb"], own_name="box").splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-3:] == ["127.0.1.1\tbox", "10.1.1.1 db", "10.1.1.2 a b"]
    assert hosts(["1.1.1.1 x"], base="9.9.9.9 y") == "9.9.9.9 y\n1.1.1.1 x\n"
    assert "localhost" in hosts([], base=" \n")


def test_resolv_conf() -> None:
    assert resolv_conf(specs_pb2.DnsConfig(), HOST) == (
        "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a b\noptions ndots:2\n"
    )
    given = specs_pb2.DnsConfig(nameservers=["127.0.0.11"], options=["ndots:0"])
    assert resolv_conf(given, HOST) == "nameserver 127.0.0.11\nsearch a b\noptions ndots:0\n"
    assert resolv_conf(specs_pb2.DnsConfig(), "") == ""
