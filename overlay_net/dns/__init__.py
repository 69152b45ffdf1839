"""The DNS server of every container, at 127.0.0.11.

`server.DnsServer` is all that others need: it is told of networks, services and endpoints as a node
hears of them (api/v1/network.proto), and of sandboxes to serve. `resolv` gives the resolv.conf of a
container. The rest is inside: `message`, `names`, `zone`, `answer`, `responder`, `replies`, `cache`
and `upstreams` are pure; `listener`, `tcp`, `forwarder` and `asking` hold the sockets; `redirect`
is the rule that brings port 53 to them.
"""
