"""Encrypted networks: a WireGuard device per host, which carries the tunnels of them all.

Fails closed: what may not leave in clear is dropped by the packet filter before there is a tunnel,
and for as long as there is one, whether the device is there or not.
"""
