"""TLS between two ends in memory."""

import ssl


def shake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """A whole handshake between the two, or what it fails with."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() == "TLSv1.3"
