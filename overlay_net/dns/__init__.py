"""The DNS server of every container, at 127.0.0.11.

`server.DnsServer` is all that others need: its `directory` is told of networks, services and
endpoints as the node hears of them (api/v1/network.proto), `attach` and `detach` of the sandboxes
to serve. `resolv.container_text` is the resolv.conf of a container. It touches nothing of a
namespace but its own sockets and one nftables table.

Within: `message` and `names` are the wire; `network_zone`, `zone` and `directory` who is called
how; `answer` and `responder` what is said; `replies`, `cache` and `upstreams` what others say. All
of these are pure. `listener`, `tcp`, `forwarder`, `asking` and `host_servers` act; `redirect` is
the rule that brings port 53 to `sockets`.
"""
